"""Arrays where they are rows of a query: BigQuery, which has no lambdas."""

from collections.abc import Sequence

from sqlglot import exp

from warehouse.hogql.functions.table import Form
from warehouse.hogql.printing.templates import filled

ITEM = "hogql_x"
_ITEMS = f"FROM UNNEST(_0) AS {ITEM} WITH OFFSET AS hogql_n"
_EQUAL = f"({ITEM} = _1 OR ({ITEM} IS NULL AND _1 IS NULL))"


def _of_each(template: str) -> Form:
    """A lambda's body is ``_1``, its only array ``_0``; there is no form for several."""

    def form(args: Sequence[exp.Expr]) -> exp.Expr | None:
        given, *arrays = args
        if len(arrays) > 1:
            return None
        made = filled(template, "bigquery", [arrays[0], given.this])
        for name in list(made.find_all(exp.Identifier)):
            if name.name == ITEM:
                name.replace(given.expressions[0].copy())
        return made

    return form


def _concat(args: Sequence[exp.Expr]) -> exp.Expr:
    given = [filled("IFNULL(_0, [])", "bigquery", [one]) for one in args]
    return exp.Anonymous(this="ARRAY_CONCAT", expressions=given)


BIGQUERY: dict[str, Form] = {
    "arrayElement": "_0[SAFE_ORDINAL(_1)]",
    "length": "IFNULL(ARRAY_LENGTH(_0), 0)",
    "empty": "IFNULL(ARRAY_LENGTH(_0), 0) = 0",
    "notEmpty": "IFNULL(ARRAY_LENGTH(_0), 0) > 0",
    "has": f"EXISTS(SELECT 1 {_ITEMS} WHERE {_EQUAL})",
    "indexOf": f"IFNULL((SELECT MIN(hogql_n) + 1 {_ITEMS} WHERE {_EQUAL}), 0)",
    "arrayMap": _of_each(f"ARRAY(SELECT _1 {_ITEMS} ORDER BY hogql_n)"),
    "arrayFilter": _of_each(f"ARRAY(SELECT {ITEM} {_ITEMS} WHERE _1 ORDER BY hogql_n)"),
    "arrayExists": _of_each(f"EXISTS(SELECT 1 {_ITEMS} WHERE _1)"),
    "arrayAll": _of_each(f"NOT EXISTS(SELECT 1 {_ITEMS} WHERE NOT IFNULL(_1, FALSE))"),
    "arrayCount": _of_each(f"(SELECT COUNT(*) {_ITEMS} WHERE _1)"),
    "arraySum": f"(SELECT SUM({ITEM}) {_ITEMS})",
    "arrayMin": f"(SELECT MIN({ITEM}) {_ITEMS})",
    "arrayMax": f"(SELECT MAX({ITEM}) {_ITEMS})",
    "arrayConcat": _concat,
    "arraySort": f"ARRAY(SELECT {ITEM} {_ITEMS} ORDER BY {ITEM} NULLS LAST)",
    "arrayDistinct": f"ARRAY(SELECT {ITEM} {_ITEMS} WHERE NOT {ITEM} IS NULL GROUP BY {ITEM} "
    "ORDER BY MIN(hogql_n))",
    "arrayStringConcat": "ARRAY_TO_STRING(IFNULL(_0, []), _1)",
    "splitByChar": "IFNULL(SPLIT(_1, _0), [])",
    "range": "GENERATE_ARRAY(_0, _1 - 1)",
}
