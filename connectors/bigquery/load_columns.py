"""How the columns of a BigQuery table differ from a source's, and the statements to alter them.

What can be altered: a column added, NOT NULL dropped, a parameter of a type taken away, NUMERIC
made BIGNUMERIC or FLOAT64, and INT64 any of these. Source: BigQuery documentation, Change column
data types.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors import drift
from connectors.bigquery.load_sql import column_type, quoted
from connectors.drift import Difference, Kind
from connectors.types import LoadTarget

NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "DECIMAL": "NUMERIC"}
"""Names of the API for what a definition calls otherwise."""
WIDER = frozenset({("NUMERIC", "BIGNUMERIC"), ("INT64", "NUMERIC"), ("INT64", "BIGNUMERIC")})


@dataclass(frozen=True)
class Existing:
    """A column of the target. ``parameters``: the length, or precision and scale, that limit it."""

    kind: str
    parameters: str
    required: bool
    """It takes no NULL, and has no default."""

    def __str__(self) -> str:
        return f"{self.kind}{self.parameters}"


def existing(fields: Iterable[Any]) -> dict[str, Existing]:
    """The columns that the client describes, by name."""
    found = {}
    for field in fields:
        given = [str(n) for n in (field.max_length, field.precision, field.scale) if n]
        found[field.name] = Existing(
            kind=NAMES.get(field.field_type, field.field_type),
            parameters=f"({','.join(given)})" if given else "",
            required=field.mode == "REQUIRED" and field.default_value_expression is None,
        )
    return found


def differences(
    schema: pa.Schema,
    key: Sequence[str],
    there: dict[str, Existing],
    key_there: Sequence[str],
) -> Iterator[Difference]:
    """What of the target does not fit the source, as ``connectors.drift`` has it.

    Names that differ in case only are one column to BigQuery, under the target's name.
    """
    names = {name.lower(): name for name in there}
    fields = {names.get(field.name.lower(), field.name): field for field in schema}
    merged_by = [names.get(name.lower(), name) for name in key]
    return drift.differences(fields, merged_by, there, key_there, _difference)


def alteration(target: LoadTarget, difference: Difference) -> str | None:
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
    if there.kind == wanted:
        return Difference(Kind.WIDENED, name, str(there), wanted) if there.parameters else None
    if (there.kind, wanted) in WIDER:
        return Difference(Kind.WIDENED, name, str(there), wanted)
    if (wanted, there.kind) in WIDER and not there.parameters:
        return Difference(Kind.NARROWED, name, str(there), wanted)
    return Difference(Kind.RETYPED, name, str(there), wanted)
