"""How the columns of a Snowflake table differ from a source's, and the statements to alter them.

What can be altered: a column added, NOT NULL dropped, a number's precision and a text's length
increased; never a scale, nor one type into another. Source: Snowflake documentation, ALTER TABLE
… ALTER COLUMN.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors import drift
from connectors.drift import Difference, Kind
from connectors.snowflake.sql import column_type, folded, quoted
from connectors.types import LoadTarget

ALIASES = {"TEXT": "VARCHAR", "REAL": "FLOAT", "DOUBLE": "FLOAT"}
"""Names in INFORMATION_SCHEMA for what a definition calls otherwise."""
LENGTHS = {"VARCHAR": 16_777_216, "BINARY": 8_388_608}
"""What a definition without a length means, and what is left alone: few values are longer, and
the load of one that is fails."""
MAX_PRECISION = 38
DECLARED = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?")


@dataclass(frozen=True)
class Existing:
    """A column of the target. ``size`` is a number's precision, a length, or digits of seconds;
    ``None`` where the metadata has none."""

    name: str
    kind: str
    size: int | None
    scale: int
    required: bool
    """It takes no NULL, and has no default."""

    def __str__(self) -> str:
        return _written(self.kind, self.size, self.scale)


def existing_columns(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The target's columns as ``existing`` takes them, and the parameters."""
    return (
        "SELECT column_name, data_type, "
        "COALESCE(numeric_precision, character_maximum_length, datetime_precision), "
        "numeric_scale, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
        (target.schema, target.table),
    )


def existing_key(target: LoadTarget) -> str:
    """The target's primary key: rows with a COLUMN_NAME."""
    return f"SHOW PRIMARY KEYS IN TABLE {quoted(target.schema, target.table)}"


def existing(rows: Iterable[Sequence[object]]) -> dict[str, Existing]:
    """The columns that ``existing_columns`` found, by name."""
    found = {}
    for name, kind, size, scale, nullable, default in rows:
        found[str(name)] = Existing(
            name=str(name),
            kind=ALIASES.get(str(kind), str(kind)),
            size=None if size is None else int(str(size)),
            scale=int(str(scale or 0)),
            required=nullable == "NO" and default is None,
        )
    return found


def differences(
    schema: pa.Schema,
    key: Sequence[str],
    there: dict[str, Existing],
    key_there: Sequence[str],
) -> Iterator[Difference]:
    """What of the target does not fit the source, as ``connectors.drift`` has it."""
    fields = {folded(field.name): field for field in schema}
    merged_by = [folded(name) for name in key]
    return drift.differences(fields, merged_by, there, key_there, _difference)


def alteration(target: LoadTarget, difference: Difference) -> str:
    """The statement after which the target's column fits; running it again changes nothing."""
    table, column = quoted(target.schema, target.table), quoted(difference.column)
    if difference.kind is Kind.ADDED:
        return f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {difference.wanted}"
    if difference.kind is Kind.REQUIRED:
        return f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
    return f"ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {difference.wanted}"


def _difference(name: str, field: pa.Field, there: Existing | None) -> Difference | None:
    wanted = column_type(field)
    if there is None:
        return Difference(Kind.ADDED, name, wanted=wanted)
    kind, size, scale = _declared(wanted)
    if kind != there.kind:
        return Difference(Kind.RETYPED, name, str(there), wanted)
    if kind == "NUMBER":
        return _number(name, there, size or MAX_PRECISION, scale)
    if size is None or there.size is None or there.size >= min(size, LENGTHS.get(kind, size)):
        return None
    # The digits of a time's seconds cannot be altered; a length can.
    changed = Kind.WIDENED if kind in LENGTHS else Kind.RETYPED
    return Difference(changed, name, str(there), wanted)


def _number(name: str, there: Existing, precision: int, scale: int) -> Difference | None:
    wanted = _written("NUMBER", precision, scale)
    before_point, before_point_there = precision - scale, (there.size or 0) - there.scale
    if (there.size, there.scale) == (precision, scale):
        return None
    if there.scale >= scale and before_point_there >= before_point:
        return Difference(Kind.NARROWED, name, str(there), wanted)
    if there.scale >= scale and before_point + there.scale <= MAX_PRECISION:
        wider = _written("NUMBER", before_point + there.scale, there.scale)
        return Difference(Kind.WIDENED, name, str(there), wider)
    return Difference(Kind.RETYPED, name, str(there), wanted)


def _declared(text: str) -> tuple[str, int | None, int]:
    """Name, size and scale of a type as a definition has it."""
    found = DECLARED.fullmatch(text)
    if found is None:
        raise ValueError(f"not a type: {text!r}")
    kind, size, scale = found.groups()
    return kind, int(size) if size else LENGTHS.get(kind), int(scale or 0)


def _written(kind: str, size: int | None, scale: int) -> str:
    if kind == "NUMBER":
        return f"NUMBER({size},{scale})"
    return kind if size is None else f"{kind}({size})"
