"""How the columns of a Redshift table differ from a source's, and the statements to alter them.

What can be altered: a column added, and a text's length increased; never a number, a NOT NULL or
a type. Source: Amazon Redshift Database Developer Guide, ALTER TABLE.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors import drift
from connectors.drift import Difference, Kind
from connectors.redshift.sql import column_type, folded, quoted, staged_type
from connectors.types import LoadTarget

NAMES = {
    "character varying": "VARCHAR",
    "numeric": "DECIMAL",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "binary varying": "VARBYTE",
}
"""Names in svv_columns for what a definition calls otherwise."""
BYTES = {
    "SMALLINT": ("integer", 2),
    "INTEGER": ("integer", 4),
    "BIGINT": ("integer", 8),
    "REAL": ("float", 4),
    "DOUBLE PRECISION": ("float", 8),
}
"""Types of which the larger holds whatever the smaller does."""
DECLARED = re.compile(r"([A-Z ]+)(?:\((\d+)(?:,(\d+))?\))?")


@dataclass(frozen=True)
class Existing:
    """A column of the target. ``size`` is a decimal's precision or a length, ``None`` where the
    metadata has none."""

    kind: str
    size: int | None
    scale: int
    required: bool
    """It takes no NULL, and has no default."""

    def __str__(self) -> str:
        if self.kind == "DECIMAL":
            return f"DECIMAL({self.size},{self.scale})"
        return self.kind if self.size is None else f"{self.kind}({self.size})"


def existing_columns(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The target's columns as ``existing`` takes them, and the parameters."""
    return (
        "SELECT column_name, data_type, character_maximum_length, numeric_precision, "
        "numeric_scale, is_nullable, column_default FROM svv_columns "
        "WHERE table_schema = %s AND table_name = %s",
        (folded(target.schema), folded(target.table)),
    )


def existing_key(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The names of the target's primary key, and the parameters."""
    return (
        "SELECT a.attname FROM pg_catalog.pg_constraint p "
        "JOIN pg_catalog.pg_class c ON c.oid = p.conrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(p.conkey) "
        "WHERE p.contype = 'p' AND n.nspname = %s AND c.relname = %s ORDER BY a.attnum",
        (folded(target.schema), folded(target.table)),
    )


def existing(rows: Iterable[Sequence[object]]) -> dict[str, Existing]:
    """The columns that ``existing_columns`` found, by name."""
    found = {}
    for name, data_type, length, precision, scale, nullable, default in rows:
        kind = NAMES.get(str(data_type), str(data_type).upper())
        size = precision if kind == "DECIMAL" else length
        found[str(name)] = Existing(
            kind=kind,
            size=None if size is None else int(str(size)),
            scale=int(str(scale or 0)) if kind == "DECIMAL" else 0,
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


def alteration(target: LoadTarget, difference: Difference) -> str | None:
    """The statement after which the target's column fits, where there is one."""
    table, column = quoted(target.schema, target.table), quoted(difference.column)
    if difference.kind is Kind.ADDED:
        return f"ALTER TABLE {table} ADD COLUMN {column} {difference.wanted}"
    if difference.kind is Kind.WIDENED and difference.wanted.startswith("VARCHAR"):
        return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {difference.wanted}"
    return None


def _difference(name: str, field: pa.Field, there: Existing | None) -> Difference | None:
    wanted = column_type(field)
    if there is None:
        return Difference(Kind.ADDED, name, wanted=wanted)
    if there.kind in BYTES and wanted in BYTES:
        return _number(name, there, wanted, staged_type(field))
    kind, size, scale = _declared(wanted)
    if kind != there.kind:
        return Difference(Kind.RETYPED, name, str(there), wanted)
    if kind == "DECIMAL":
        return _decimal(name, there, wanted, size or 0, scale)
    if size is None or there.size is None or there.size >= size:
        return None
    return Difference(Kind.WIDENED, name, str(there), wanted)


def _number(name: str, there: Existing, wanted: str, source: str) -> Difference | None:
    """What the source's own type does not fit into; a target is made larger than it need be."""
    (family, size), (family_there, size_there) = BYTES[source], BYTES[there.kind]
    if family != family_there:
        return Difference(Kind.RETYPED, name, there.kind, wanted)
    return Difference(Kind.WIDENED, name, there.kind, wanted) if size > size_there else None


def _decimal(
    name: str, there: Existing, wanted: str, precision: int, scale: int
) -> Difference | None:
    before_point, before_point_there = precision - scale, (there.size or 0) - there.scale
    if (there.size, there.scale) == (precision, scale):
        return None
    if there.scale < scale:
        return Difference(Kind.RETYPED, name, str(there), wanted)
    kind = Kind.NARROWED if before_point_there >= before_point else Kind.WIDENED
    return Difference(kind, name, str(there), wanted)


def _declared(text: str) -> tuple[str, int | None, int]:
    """Name, size and scale of a type as a definition has it."""
    found = DECLARED.fullmatch(text)
    if found is None:
        raise ValueError(f"not a type: {text!r}")
    kind, size, scale = found.groups()
    return kind, int(size) if size else None, int(scale or 0)
