"""Arrays, and what is done with each of their items.

The store has them, where an array has no NULL of its own, and BigQuery, where an array of a result
holds no NULL and none holds arrays. Those of others differ too much, or arrive as text.
"""

from collections.abc import Sequence

from sqlglot import exp

from warehouse.hogql.functions.table import Form, Function, Use
from warehouse.hogql.functions.unnested import BIGQUERY
from warehouse.hogql.types import NULL, Kind, Type, common

Types = Sequence[Type]
_ELEMENT = "if(_1 >= 1 AND _1 <= length(_0), arrayElement(_0, greatest(_1, 1)), NULL)"
_SPLIT = "if(_1 IS NULL, [], splitByChar(_0, ifNull(_1, '')))"


def _item(types: Types) -> Type:
    return types[0].item or NULL


def _array_of_first(types: Types) -> Type:
    return Type(Kind.ARRAY, item=types[0])


def _second(types: Types) -> Type:
    return types[1]


def _all(types: Types) -> Type:
    return common(*types) or types[0]


def _fits_items(types: Types) -> bool:
    return common(_item(types), types[1]) is not None


def _has_plain_items(types: Types) -> bool:
    """What is outside an array of arrays could not be NULL."""
    return _item(types).kind != Kind.ARRAY


def _has_numbers(types: Types) -> bool:
    return _item(types).is_number or _item(types) == NULL


def _call(name: str) -> Form:
    return lambda args: exp.Anonymous(this=name, expressions=list(args))


def _test(name: str) -> Form:
    """A condition that is NULL is not true."""

    def form(args: Sequence[exp.Expr]) -> exp.Expr:
        condition, *arrays = args
        condition.set("this", exp.Coalesce(this=condition.this, expressions=[exp.false()]))
        return exp.Anonymous(this=name, expressions=[condition, *arrays])

    return form


def _said(name: str, form: Form) -> dict[str, Form]:
    """In the store so, and in BigQuery where that has an equal."""
    return {"clickhouse": form} | ({"bigquery": BIGQUERY[name]} if name in BIGQUERY else {})


def _tested(name: str, returns: str, means: str) -> Function:
    return Function(name, ("test", "array*"), returns, _said(name, _test(name)), means, least=2)


def _reduced(name: str, aggregate: str, means: str) -> Function:
    form = f"if(empty(_0), NULL, arrayReduce('{aggregate}', _0))"
    fits = _has_numbers if aggregate == "sum" else _has_plain_items
    return Function(name, ("array",), _item, _said(name, form), means, fits=fits)


FUNCTIONS = (
    Function(
        "arrayElement",
        ("array", "whole"),
        _item,
        _said("arrayElement", _ELEMENT),
        "The item at a place, from 1; NULL where there is none.",
        fits=_has_plain_items,
    ),
    Function("length", ("array",), "int", _said("length", "length(_0)"), "Number of items."),
    Function("empty", ("array",), "bool", _said("empty", "empty(_0)"), "Has no items."),
    Function("notEmpty", ("array",), "bool", _said("notEmpty", "notEmpty(_0)"), "Has items."),
    Function(
        "has",
        ("array", "any"),
        "bool",
        _said("has", "has(_0, _1)"),
        "One of the items is this, be it NULL.",
        fits=_fits_items,
    ),
    Function(
        "indexOf",
        ("array", "any"),
        "int",
        _said("indexOf", "indexOf(_0, _1)"),
        "The place of the first such item, from 1; 0 where there is none.",
        fits=_fits_items,
    ),
    Function(
        "arrayMap",
        ("lambda", "array*"),
        _array_of_first,
        _said("arrayMap", _call("arrayMap")),
        "What the lambda makes of each item, or of those at one place of several arrays, which are "
        "of one length.",
        least=2,
    ),
    Function(
        "arrayFilter",
        ("test", "array*"),
        _second,
        _said("arrayFilter", _test("arrayFilter")),
        "The items (of the first array) for which the lambda is true.",
        least=2,
    ),
    _tested("arrayExists", "bool", "The lambda is true for an item."),
    _tested("arrayAll", "bool", "The lambda is true for all items."),
    _tested("arrayCount", "int", "For how many items the lambda is true."),
    _reduced("arraySum", "sum", "Sum of the items that are not NULL; NULL of none."),
    _reduced("arrayMin", "min", "Least item; NULL of none."),
    _reduced("arrayMax", "max", "Greatest item; NULL of none."),
    Function(
        "arrayConcat",
        ("array*",),
        _all,
        _said("arrayConcat", _call("arrayConcat")),
        "One after another.",
        agree=(),
        least=1,
    ),
    Function(
        "arraySort", ("array",), "same", _said("arraySort", "arraySort(_0)"), "In order, NULL last."
    ),
    Function(
        "arrayDistinct",
        ("array",),
        "same",
        _said("arrayDistinct", "arrayDistinct(_0)"),
        "Each once, without NULL.",
    ),
    Function(
        "arrayStringConcat",
        ("array", "text"),
        "text",
        _said("arrayStringConcat", "arrayStringConcat(_0, _1)"),
        "The texts with the second between them, without NULL.",
        fits=lambda types: _item(types).kind in (Kind.STRING, Kind.NULL),
    ),
    Function(
        "splitByChar",
        ("text=", "text"),
        lambda types: Type(Kind.ARRAY, item=types[1]),
        _said("splitByChar", _SPLIT),
        "What is between the signs; no items of NULL.",
    ),
    Function(
        "range",
        ("whole", "whole"),
        _array_of_first,
        _said("range", "range(_0, _1)"),
        "From the first up to before the second.",
    ),
    Function(
        "groupArray",
        ("any",),
        _array_of_first,
        _said("groupArray", "groupArray(_0)"),
        "The values not NULL, in any order.",
        Use.AGGREGATE,
    ),
    Function(
        "groupUniqArray",
        ("any",),
        _array_of_first,
        _said("groupUniqArray", "groupUniqArray(_0)"),
        "The different values not NULL, in any order.",
        Use.AGGREGATE,
    ),
)
