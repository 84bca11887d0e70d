"""What a target that has no table of its loads says of itself: the loads that were committed, and
the columns as Arrow has them."""

import base64
from dataclasses import dataclass

import pyarrow as pa

from connectors.errors import LoadSuperseded

LOADS_KEPT = 100
"""So many loads are remembered: a load is only ever repeated right after it was cut off."""
NO_COLUMNS = pa.schema([])


@dataclass(frozen=True)
class Load:
    """A load that was committed."""

    load_id: str
    fence: int
    rows: int
    files: int


class Loads(tuple[Load, ...]):
    """Those of one table, the newest at the end."""

    __slots__ = ()

    def include(self, load_id: str) -> bool:
        return any(load.load_id == load_id for load in self)

    def refuse_older(self, fence: int) -> None:
        """Raises LoadSuperseded where a load of a greater fence has been."""
        if any(load.fence > fence for load in self):
            raise LoadSuperseded()

    def followed_by(self, load: Load) -> "Loads":
        return Loads((*self, load)[-LOADS_KEPT:])


NO_LOADS = Loads()


def dumped(schema: pa.Schema) -> str:
    """Columns as text, which ``loaded`` reads again."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def loaded(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def with_columns(there: pa.Schema, schema: pa.Schema, left_out: frozenset[str]) -> pa.Schema:
    """A table's columns once such rows are in it: its own, of the wider type, and new ones."""
    fields = {field.name: field for field in there}
    for field in schema:
        if field.name not in left_out:
            fields[field.name] = field
    return pa.schema(list(fields.values()))
