"""Constants that DuckDB cannot hold: selected by name, they are put into the result as they are.

That is `SELECT BIGNUMERIC '…' AS a, ST_GEOGFROMTEXT('…') AS b`; within an expression, or in a
stored column, they are not offered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from sqlglot import exp

from sandbox.bigquery.arrow_types import Field, arrow_schema
from sandbox.bigquery.decimals import BIGNUMERIC_DIGITS
from sandbox.bigquery.errors import invalid_query

_SCALE = 38
_UNSCALED = range(-(2**255), 2**255)
_POINT = re.compile(r"-?[0-9.]+")


@dataclass(frozen=True)
class Constant:
    """A value with its REST type; a BIGNUMERIC is a number of 10^-38."""

    kind: Mapping[str, str]
    value: Any

    def field(self, name: str) -> Field:
        return {"name": name, "mode": "NULLABLE", **self.kind}

    def column(self, rows: int) -> pa.Array:
        """Return the value as a column of a result."""
        (field,) = arrow_schema([self.field("constant")])
        if not pa.types.is_decimal256(field.type) or self.value is None:
            return pa.array([self.value] * rows, field.type)
        # A BIGNUMERIC may have one digit more than Arrow's type allows; its bytes have room.
        data = self.value.to_bytes(32, "little", signed=True) * rows
        return pa.Array.from_buffers(field.type, rows, [None, pa.py_buffer(data)])


def take(tree: exp.Expr) -> dict[str, Constant]:
    """Return a query's constants by the name of their column, and leave NULL in their places."""
    found: dict[str, Constant] = {}
    for selected in tree.expressions if isinstance(tree, exp.Select) else ():
        constant = _constant(selected.this) if isinstance(selected, exp.Alias) else None
        if constant is not None:
            found[selected.alias] = constant
            selected.this.replace(exp.cast(exp.null(), "STRING", dialect="bigquery"))
    return found


def _constant(node: exp.Expr) -> Constant | None:
    if isinstance(node, exp.Anonymous) and node.name.upper() == "ST_GEOGFROMTEXT":
        return Constant({"type": "GEOGRAPHY"}, node.expressions[0].name)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "ST_GEOGPOINT":
        place = [one.sql("bigquery") for one in node.expressions]
        if len(place) == 2 and all(_POINT.fullmatch(one) for one in place):
            return Constant({"type": "GEOGRAPHY"}, f"POINT({place[0]} {place[1]})")
    return _cast(node) if isinstance(node, exp.Cast) else None


def _cast(node: exp.Cast) -> Constant | None:
    if node.to.this == exp.DataType.Type.GEOGRAPHY and isinstance(node.this, exp.Null):
        return Constant({"type": "GEOGRAPHY"}, None)
    is_timestamp = node.to.this == exp.DataType.Type.TIMESTAMPTZ
    if is_timestamp and [one.name for one in node.to.expressions] == ["12"]:
        return Constant({"type": "TIMESTAMP", "timestampPrecision": "12"}, None)
    if node.to.this == exp.DataType.Type.BIGDECIMAL and isinstance(node.this, exp.Literal):
        return _big(node.this.name)
    return None


def _big(text: str) -> Constant | None:
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        return None
    shift = int(exponent) + _SCALE
    if len(digits) <= BIGNUMERIC_DIGITS and shift >= _SCALE - BIGNUMERIC_DIGITS:
        # DuckDB can hold it, and calculate with it.
        return None
    value = int("".join(map(str, digits))) * 10 ** max(0, shift) * (-1 if sign else 1)
    if shift < 0 or value not in _UNSCALED:
        raise invalid_query(f"Invalid BIGNUMERIC literal: {text}")
    return Constant({"type": "BIGNUMERIC"}, value)
