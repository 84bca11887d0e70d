"""Members of documents as text: what the store gives of the same document, in each dialect.

A number comes as JSON spells it without digits that say nothing: 1 for 1.0, 100 for 1e2.
"""

from collections.abc import Callable, Sequence

from sqlglot import exp

from warehouse.hogql.printing.templates import filled

Form = Callable[[exp.Expr, Sequence[str], str], exp.Expr | None]
"""Of a document, a path in it, and the type wanted; ``None`` where it cannot be said."""

_POSTGRES = """CASE WHEN CAST(_0 AS TEXT) ~ '^-?[0-9]'
 THEN CAST(TRIM_SCALE(CAST(CAST(_0 AS TEXT) AS DECIMAL)) AS TEXT) ELSE _1 END"""
_SNOWFLAKE = """CASE WHEN TYPEOF(_0) IN ('DECIMAL', 'DOUBLE')
 THEN REGEXP_REPLACE(CAST(CAST(_0 AS DOUBLE) AS VARCHAR), '[.]0$', '')
 ELSE CAST(_0 AS VARCHAR) END"""
_BIGQUERY = """CASE WHEN STARTS_WITH(TO_JSON_STRING(JSON_QUERY(_0, _1)), '"')
 THEN JSON_VALUE(_0, _1) WHEN TO_JSON_STRING(JSON_QUERY(_0, _1)) = 'null' THEN NULL
 ELSE REGEXP_REPLACE(TO_JSON_STRING(JSON_QUERY(_0, _1)), r'^(-?[0-9]+)[.]0$', r'\\1') END"""


def in_clickhouse(document: exp.Expr, path: Sequence[str], wanted: str) -> exp.Expr:
    return exp.func("JSONExtract", document, *map(exp.Literal.string, (*path, wanted)))


def in_postgres(document: exp.Expr, path: Sequence[str], wanted: str) -> exp.Expr | None:
    if wanted != "TEXT":
        return None
    *before, last = map(exp.Literal.string, path)
    for name in before:
        document = filled("_0 -> _1", "postgres", [document, name])
    value, text = (filled(f"_0 {sign} _1", "postgres", [document, last]) for sign in ("->", "->>"))
    return filled(_POSTGRES, "postgres", [value, text])


def in_snowflake(document: exp.Expr, path: Sequence[str], wanted: str) -> exp.Expr | None:
    if wanted != "VARCHAR" or not all(map(_is_plain, path)):
        return None
    steps = "".join(f'["{name}"]' for name in path)
    value = exp.Anonymous(this="GET_PATH", expressions=[document, exp.Literal.string(steps)])
    return filled(_SNOWFLAKE, "snowflake", [value])


def in_bigquery(document: exp.Expr, path: Sequence[str], wanted: str) -> exp.Expr | None:
    if wanted != "STRING" or not all(map(_is_plain, path)):
        return None
    steps = exp.Literal.string("$" + "".join(f'."{name}"' for name in path))
    return filled(_BIGQUERY, "bigquery", [document, steps])


def _is_plain(name: str) -> bool:
    """A name that stands between quotes in a path; how others are written there is not said."""
    return name != "" and not set('"\\') & set(name)
