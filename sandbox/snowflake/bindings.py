"""Values bound by the client, turned into literals: exact, and no text of a user's is parsed."""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlglot import exp

from sandbox.snowflake.errors import compilation, unsupported

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock, as TIMESTAMP_NTZ is
_DAY_MS = 86_400_000

# Marks the casts made here: theirs is duckdb's own way of writing moments.
_BOUND = "bound"

Bindings = Mapping[str, Mapping[str, Any]]


def rows_of(bindings: Bindings) -> list[Bindings]:
    """Split an array binding into one binding a row; a plain one is the only row."""
    if not any(isinstance(bound["value"], list) for bound in bindings.values()):
        return [bindings]
    length = max(len(bound["value"]) for bound in bindings.values())
    return [
        {name: {**bound, "value": bound["value"][row]} for name, bound in bindings.items()}
        for row in range(length)
    ]


def bind(statement: exp.Expr, bindings: Bindings) -> exp.Expr:
    """Put the bound values in the places of `?`, `:1` and `:name`."""
    position = 0
    for place in list(statement.find_all(exp.Placeholder, bfs=False)):
        name = str(place.this or "")
        if not name:
            position += 1
            name = str(position)
        if name not in bindings:
            raise compilation("002049", "42601", f"Bind variable {name} not set.")
        place.replace(_value(bindings[name]))
    return statement


def is_bound_moment(node: exp.Expr) -> bool:
    """Tell whether a cast stands for a bound date, time or floating-point number."""
    return isinstance(node, exp.Cast) and bool(node.meta.get(_BOUND))


def _value(bound: Mapping[str, Any]) -> exp.Expr:
    value, kind = bound["value"], str(bound.get("type", "TEXT")).upper()
    if value is None:
        return exp.Null()
    text = str(value)
    if kind == "FIXED":
        return _number(text)
    if kind == "REAL":
        return _cast(text, "DOUBLE")
    if kind == "BOOLEAN":
        return exp.Boolean(this=text.lower() in {"true", "1"})
    if kind == "BINARY":
        return exp.HexString(this=text)
    if kind in {"TEXT", "ANY"}:
        return exp.Literal.string(text)
    return _moment(kind, text)


def _number(text: str) -> exp.Expr:
    number = Decimal(text)
    # Not abs(): that rounds to the 28 digits of the usual context.
    literal: exp.Expr = exp.Literal.number(f"{number.copy_abs():f}")
    return exp.Neg(this=literal) if number.is_signed() else literal


def _moment(kind: str, text: str) -> exp.Expr:
    if kind == "DATE":
        day = _EPOCH + datetime.timedelta(days=int(text) // _DAY_MS)
        return _cast(day.date().isoformat(), "DATE")
    if kind == "TIME":
        return _cast(_clock(int(text)).time().isoformat(), "TIME")
    if kind == "TIMESTAMP_NTZ":
        return _cast(_clock(int(text)).isoformat(sep=" "), "TIMESTAMPNTZ")
    if kind in {"TIMESTAMP_LTZ", "TIMESTAMP_TZ"}:
        nanos = int(text.split(" ")[0])
        return _cast(_clock(nanos).isoformat(sep=" ") + "+00:00", "TIMESTAMPTZ")
    raise unsupported(f"binding of type {kind}")


def _clock(nanos: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=nanos // 1000)


def _cast(text: str, kind: str) -> exp.Expr:
    cast = exp.cast(exp.Literal.string(text), kind)
    cast.meta[_BOUND] = True
    return cast
