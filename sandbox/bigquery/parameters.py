"""Query parameters, put into the statement as typed constants.

bqemulator finds `@name` with a regular expression, inside string literals too, and lets DuckDB
guess the types. A constant built as a syntax node keeps the type and cannot be misread.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from sandbox.bigquery.decimals import BIGNUMERIC_DIGITS
from sandbox.bigquery.errors import ApiError, invalid, invalid_query, not_offered
from sandbox.bigquery.statements import Statement, position

_NUMERIC_DIGITS = (29, 9)
_INT64 = range(-(2**63), 2**63)
_SYNONYMS = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def put_in(statement: Statement, parameters: Iterable[Mapping[str, Any]]) -> bool:
    """Replace every placeholder by its constant; tell whether there were any."""
    given = list(parameters)
    named = {one["name"].lower(): one for one in given if one.get("name")}
    in_order = iter([one for one in given if not one.get("name")])
    found = False
    for tree in statement.trees:
        for node in list(tree.find_all(exp.Parameter, exp.Placeholder)):
            if isinstance(node.this, exp.Parameter):
                raise not_offered("system variables (@@name) are not offered.")
            name = node.name.lower() if isinstance(node, exp.Parameter) else ""
            parameter = named.get(name) if name else next(in_order, None)
            node.replace(_constant(_required(parameter, name, statement.text)))
            found = True
    return found


def check_big_numbers(tree: exp.Expr) -> None:
    """Refuse a BIGNUMERIC literal with more digits than the stand-in can keep."""
    for cast in tree.find_all(exp.Cast):
        is_big = cast.to.this == exp.DataType.Type.BIGDECIMAL
        if is_big and isinstance(cast.this, exp.Literal):
            _digits(cast.this.name, "BIGNUMERIC")


def _required(parameter: Mapping[str, Any] | None, name: str, sql: str) -> Mapping[str, Any]:
    if parameter is None:
        what = f"Query parameter '{name}' not found" if name else "Query parameter not found"
        raise invalid_query(what + position(sql, f"@{name}" if name else "?"))
    return parameter


def _constant(parameter: Mapping[str, Any]) -> exp.Expr:
    try:
        return _value(parameter["parameterType"], parameter.get("parameterValue") or {})
    except (KeyError, TypeError, ValueError, InvalidOperation, binascii.Error) as error:
        name = parameter.get("name") or "positional parameter"
        raise invalid(f"Invalid value for query parameter {name}: {error}") from error


def _value(kind: Mapping[str, Any], value: Mapping[str, Any]) -> exp.Expr:
    name = _SYNONYMS.get(str(kind["type"]).upper(), str(kind["type"]).upper())
    if name == "ARRAY":
        elements = [_value(kind["arrayType"], one) for one in value.get("arrayValues") or ()]
        return exp.cast(exp.Array(expressions=elements), _type(kind), dialect="bigquery")
    if name == "STRUCT":
        return _struct(kind["structTypes"], value.get("structValues") or {})
    text = value.get("value")
    if text is None:
        return exp.cast(exp.null(), _type(kind), dialect="bigquery")
    if name not in _SCALARS:
        raise not_offered(f"query parameters of type {name} are not offered.")
    return _SCALARS[name](str(text))


def _struct(fields: Iterable[Mapping[str, Any]], values: Mapping[str, Any]) -> exp.Expr:
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.to_identifier(field["name"], quoted=True),
                expression=_value(field["type"], values.get(field["name"]) or {}),
            )
            for field in fields
        ]
    )


def _type(kind: Mapping[str, Any]) -> str:
    name = str(kind["type"]).upper()
    if name == "ARRAY":
        return f"ARRAY<{_type(kind['arrayType'])}>"
    if name == "STRUCT":
        return "STRUCT<{}>".format(
            ", ".join(f"`{one['name']}` {_type(one['type'])}" for one in kind["structTypes"])
        )
    if not re.fullmatch(r"[A-Z0-9]+", name):
        raise ValueError(f"unknown type {name}")
    return name


def _as(kind: str, check: Callable[[str], object]) -> Callable[[str], exp.Expr]:
    def constant(text: str) -> exp.Expr:
        check(text)
        return exp.cast(exp.Literal.string(text), kind, dialect="bigquery")

    return constant


def _int64(text: str) -> None:
    if int(text) not in _INT64:
        raise ValueError(f"{text} is outside INT64")


def _bool(text: str) -> exp.Expr:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text} is no BOOL")
    return exp.Boolean(this=text.lower() == "true")


def _bytes(text: str) -> exp.Expr:
    return hexadecimal(base64.b64decode(text, validate=True))


def hexadecimal(value: bytes) -> exp.Expr:
    """Return a BYTES constant; DuckDB reads BigQuery's own notation wrongly."""
    return exp.func("FROM_HEX", exp.Literal.string(value.hex()), dialect="bigquery")


def _digits(text: str, kind: str) -> None:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text} is no {kind}")
    exponent = number.as_tuple().exponent
    fraction = max(0, -int(exponent))
    whole = max(0, number.adjusted() + 1) if number else 0
    limits = _NUMERIC_DIGITS if kind == "NUMERIC" else (BIGNUMERIC_DIGITS, BIGNUMERIC_DIGITS)
    if whole <= limits[0] and fraction <= limits[1]:
        return
    if kind == "NUMERIC":
        raise ValueError(f"{text} does not fit NUMERIC")
    raise _too_big(text)


def _too_big(text: str) -> ApiError:
    return not_offered(
        f"a BIGNUMERIC has {BIGNUMERIC_DIGITS} digits before and {BIGNUMERIC_DIGITS} after the "
        f"point here; {text} has more."
    )


def _string(text: str) -> exp.Expr:
    return exp.Literal.string(text)


def _json(text: str) -> exp.Expr:
    return exp.func("PARSE_JSON", exp.Literal.string(text), dialect="bigquery")


def _float(text: str) -> None:
    math.isnan(float(text))


def _anything(text: str) -> None:
    """Leave it to the cast."""


_SCALARS: dict[str, Callable[[str], exp.Expr]] = {
    "INT64": _as("INT64", _int64),
    "FLOAT64": _as("FLOAT64", _float),
    "NUMERIC": _as("NUMERIC", lambda text: _digits(text, "NUMERIC")),
    "BIGNUMERIC": _as("BIGNUMERIC", lambda text: _digits(text, "BIGNUMERIC")),
    "BOOL": _bool,
    "STRING": _string,
    "BYTES": _bytes,
    "DATE": _as("DATE", _anything),
    "DATETIME": _as("DATETIME", _anything),
    "TIME": _as("TIME", _anything),
    "TIMESTAMP": _as("TIMESTAMP", _anything),
    "JSON": _json,
}
