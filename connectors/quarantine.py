"""Values that cannot be carried exactly: NULL in their rows, and written down here."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import DataError, QuarantineFull

MAX_TEXT = 1000
"""Characters of a value's text form that are kept."""
CUT = "…"


class Reason(StrEnum):
    """Why a value cannot be carried."""

    NOT_A_NUMBER = "not_a_number"
    INFINITE = "infinite"
    OUT_OF_RANGE = "out_of_range"
    """A date or time that the destination does not reach, or before the year 1 or after 9999."""
    NO_NULL = "no_null"
    """NULL in place of a list or a record, of which the destination has only empty ones."""
    NOT_TEXT = "not_text"
    TOO_LONG = "too_long"
    JSON_NUMBER = "json_number"
    """JSON with a number of more digits than the destination keeps."""
    JSON_REFUSED = "json_refused"
    """JSON that the destination's parser does not take: a key twice, half of a surrogate pair."""


@dataclass(frozen=True)
class Unfit:
    """A value of a batch that has to be taken out: where it stands, why, and its text."""

    row: int
    column: str
    reason: Reason
    text: str


@dataclass(frozen=True)
class Quarantined:
    """A value that has been taken out. ``key`` is its row's primary key, every part as text;
    ``text`` is cut at MAX_TEXT characters."""

    key: dict[str, str]
    column: str
    reason: Reason
    text: str


@dataclass
class Quarantine:
    """What one reading of a table takes out, with room for ``limit`` values."""

    key: Sequence[str]
    limit: int
    entries: list[Quarantined] = field(default_factory=list)

    def take(self, batch: pa.RecordBatch, found: Iterable[Unfit]) -> None:
        """Write down values of the batch, in which they are NULL by now.

        Raises DataError for one in the primary key, without which its row is nobody's, and
        QuarantineFull for the first that is too many; that one is still written down.
        """
        for unfit in found:
            if unfit.column in self.key:
                raise _in_key(unfit)
            key = {name: _text(batch.column(name)[unfit.row]) for name in self.key}
            self.entries.append(Quarantined(key, unfit.column, unfit.reason, _cut(unfit.text)))
            if len(self.entries) > self.limit:
                raise full(self.entries, self.limit)

    def without(self, batch: pa.RecordBatch, found: Sequence[Unfit]) -> pa.RecordBatch:
        """The batch with NULL for these values, which are written down. Raises as ``take``."""
        if not found:
            return batch
        self.take(batch, found)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in {unfit.column for unfit in found}:
            fits = np.ones(batch.num_rows, bool)
            fits[[unfit.row for unfit in found if unfit.column == name]] = False
            # Not by pa.array(), which imports pandas wherever that is installed: 50 MB.
            bits = [None, pa.py_buffer(np.packbits(fits, bitorder="little"))]
            kept = pa.Array.from_buffers(pa.bool_(), batch.num_rows, bits)
            nothing = pa.nulls(batch.num_rows, columns[name].type)
            columns[name] = pc.if_else(kept, columns[name], nothing)
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def full(entries: Sequence[Quarantined], limit: int) -> QuarantineFull:
    """What to say of more entries than the limit: how many of which column, and why."""
    counts = Counter((entry.column, entry.reason) for entry in entries)
    fields: dict[str, str] = {}
    for (column, reason), count in counts.items():
        said = f"{reason}, at least {count:,}"
        fields[column] = f"{fields[column]}, {said}" if column in fields else said
    many = f"More than {limit:,} values" if limit else "Values"
    return QuarantineFull(
        f"{many} of the table cannot be carried exactly; correct them in the source, or raise "
        "quarantine_limit.",
        fields=fields,
    )


def _in_key(unfit: Unfit) -> DataError:
    return DataError(
        f"The column {unfit.column} of the primary key has a value that cannot be carried exactly.",
        hint="Correct the row in the source: without its key it cannot be moved.",
        fields={unfit.column: unfit.reason},
    )


def _text(value: pa.Scalar) -> str:
    found = value.as_py()
    return "\\x" + found.hex() if isinstance(found, bytes) else str(found)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(CUT)] + CUT
