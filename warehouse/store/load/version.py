"""What a table of the store is: one version of it at a time, which knows what it was made of.

The columns as Arrow has them, the key, and the loads are JSON in the table's comment. So the step
that puts a version into its place commits its rows and the ledger together.
"""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors import ledger
from connectors.ledger import Load, Loads


@dataclass(frozen=True)
class Version:
    """A table as readers see it; one without a ``uuid`` is not there."""

    uuid: str = ""
    schema: pa.Schema = ledger.NO_COLUMNS
    key: tuple[str, ...] = ()
    loads: Loads = ledger.NO_LOADS

    @property
    def is_there(self) -> bool:
        return bool(self.uuid)

    def followed_by(self, load: Load, schema: pa.Schema, key: tuple[str, ...]) -> "Version":
        """The version after a load, which has no uuid as yet."""
        return Version("", schema, key, self.loads.followed_by(load))

    def dump(self) -> str:
        """As it is kept in the comment."""
        found = {
            "key": self.key,
            "loads": [list(vars(load).values()) for load in self.loads],
            "arrow_schema": ledger.dumped(self.schema),
        }
        return json.dumps(found)

    @classmethod
    def load(cls, uuid: str, comment: str) -> "Version":
        found: dict[str, Any] = json.loads(comment)
        schema = ledger.loaded(found["arrow_schema"])
        loads = Loads(Load(*one) for one in found["loads"])
        return cls(uuid, schema, tuple(found["key"]), loads)
