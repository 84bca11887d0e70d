"""What a load does in the store, one thing at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

import pyarrow as pa

from connectors.abilities import StagedFiles
from connectors.errors import LoadMismatch
from connectors.types import StagedFile
from warehouse import conf
from warehouse.store import client, ddl
from warehouse.store.client import Params, Settings
from warehouse.store.limits import of_memory
from warehouse.store.load import types
from warehouse.store.load.sql import Table

PIECE_BYTES = 2**20
OURS: Settings = {
    "join_use_nulls": 1,
    "join_algorithm": "grace_hash,hash",
    "mutations_sync": 2,
    # Of a cluster: what a statement looks up are tables of ours that do not change.
    "allow_nondeterministic_mutations": 1,
}


class Hand:
    """The owner's way in, for what is written here and nowhere else."""

    def __init__(self) -> None:
        self._session = client.owner()

    def run(self, statement: str) -> None:
        """Run it to its end."""
        self._session.command(statement, settings=OURS | of_memory(conf.store_memory_mb()))

    def rows(self, query: str, params: Params | None = None) -> list[dict[str, str]]:
        """All rows of a small result."""
        found: list[dict[str, str]] = self._session.query(query, params).read_all().to_pylist()
        return found

    def number(self, query: str) -> int:
        """The one number ``n`` that it asks for."""
        (row,) = self.rows(query)
        return int(row["n"])

    def create(
        self, table: Table, schema: pa.Schema, key: tuple[str, ...], comment: str = ""
    ) -> None:
        """Make an empty table; raises Unsupported for a type that cannot be held exactly."""
        columns = types.columns(schema, key)
        self.run(ddl.create_table(*table, columns, key, comment=comment))

    def send(
        self,
        table: Table,
        names: Sequence[str],
        files: StagedFiles,
        location: str,
        file: StagedFile,
    ) -> int:
        """Add a staged file's rows; how many. Raises LoadMismatch where it is not the file of the
        manifest."""
        with closing(files.open(location, file.name)) as source:
            return self._session.insert_parquet(*table, names, _checked(source, file), OURS)


def _checked(source: BinaryIO, file: StagedFile) -> Iterator[bytes]:
    """Its bytes as they come."""
    read = hashlib.sha256()
    while piece := source.read(PIECE_BYTES):
        read.update(piece)
        yield piece
    if read.hexdigest() != file.sha256:
        raise LoadMismatch(f"The staged file {file.name} is not the one in the manifest.")
