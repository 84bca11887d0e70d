"""What a table of the store is: one version of it at a time, which knows what it was made of.

The columns as Arrow has them, the key, and the loads are JSON in the table's comment. So the step
that puts a version into its place commits its rows and the ledger together.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Version:
    """A table as readers see it; one without a ``uuid`` is not there."""

    uuid: str = ""
    schema: pa.Schema = NO_COLUMNS
    key: tuple[str, ...] = ()
    loads: tuple[Load, ...] = ()

    @property
    def is_there(self) -> bool:
        return bool(self.uuid)

    def knows(self, load_id: str) -> bool:
        return any(load.load_id == load_id for load in self.loads)

    def refuse_older(self, fence: int) -> None:
        """Raises LoadSuperseded where a load of a greater fence has been."""
        if any(load.fence > fence for load in self.loads):
            raise LoadSuperseded()

    def followed_by(self, load: Load, schema: pa.Schema, key: tuple[str, ...]) -> "Version":
        """The version after a load, which has no uuid as yet."""
        return Version("", schema, key, (*self.loads, load)[-LOADS_KEPT:])

    def dump(self) -> str:
        """As it is kept in the comment."""
        found = {
            "key": self.key,
            "loads": [list(vars(load).values()) for load in self.loads],
            "arrow_schema": base64.b64encode(self.schema.serialize().to_pybytes()).decode(),
        }
        return json.dumps(found)

    @classmethod
    def load(cls, uuid: str, comment: str) -> "Version":
        found: dict[str, Any] = json.loads(comment)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["arrow_schema"])))
        return cls(uuid, schema, tuple(found["key"]), tuple(Load(*one) for one in found["loads"]))
