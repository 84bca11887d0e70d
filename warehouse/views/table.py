"""A view's table in the store: its next version is built aside, and put in its place in one step.

Readers see the version before or the one after, whole. Of two refreshes at once the one with the
greater fence wins: it takes away what those of smaller fences are building before it begins, and
what was taken away cannot be put in place any more.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from connectors.errors import LoadSuperseded
from connectors.ledger import Load, Loads
from warehouse.store import client
from warehouse.store.load import sql
from warehouse.store.load.hand import Hand
from warehouse.store.load.loader import ASIDE
from warehouse.store.load.version import Version
from warehouse.store.names import literal, quote
from warehouse.views.marks import Stored
from warehouse.views.parts import ROWS, SUM


class ViewTable:
    """One refresh's way to the table."""

    def __init__(self, team_id: object, name: str, fence: int) -> None:
        self._database = client.create_database(team_id)
        self._hand = Hand()
        self._there = self._database, name
        self._prefix = f"{name}{ASIDE}"
        self._fence = fence
        self._aside = self._database, f"{self._prefix}{fence}"

    def begin(self, schema: pa.Schema) -> None:
        """An empty version aside. Raises LoadSuperseded, and Unsupported for a column's type."""
        self.clear()
        made = Version("", schema, (), Loads([Load("", self._fence, 0, 0)]))
        self._hand.create(self._aside, schema, (), made.dump())
        # Only after that: of two, one at least sees the other.
        if any(fence > self._fence for fence in self._fences().values()):
            raise LoadSuperseded()

    def clear(self) -> None:
        """Remove what this refresh and those before it have left aside."""
        self._drop_before(self._fence + 1)

    def schema(self) -> pa.Schema | None:
        """Of the version in place; ``None`` where there is none."""
        version = self._version(self._there)
        return version.schema if version.is_there else None

    def made_of(self, bucket: str, kind: pa.DataType) -> Iterator[Stored]:
        """What each bucket of the version in place is made of; ``kind`` is what they are."""
        name = quote(bucket)
        asked = (
            f"SELECT {name} AS b, toString({name}) AS t, sum({quote(ROWS)}) AS n, "
            f"sum({quote(SUM)}) AS s FROM {sql.path(self._there)} GROUP BY {name}"
        )
        found = client.owner().query(asked).read_all()
        buckets = found["b"].cast(kind).to_pylist()
        rest = (found[name].to_pylist() for name in ("t", "n", "s"))
        for value, text, rows, total in zip(buckets, *rest, strict=True):
            yield Stored(value, text, (rows, total))

    def add(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Rows into the version aside; how many."""
        return client.owner().insert(*self._aside, schema, batches)

    def carry(self, schema: pa.Schema, bucket: str, gone: Iterable[str | None]) -> None:
        """Take over the rows that are in place, but for those of these buckets and of none."""
        where = f"{quote(bucket)} IS NOT NULL"
        if texts := ", ".join(literal(text) for text in gone if text is not None):
            where += f" AND toString({quote(bucket)}) NOT IN ({texts})"
        self._hand.run(sql.copy(self._there, self._aside, schema.names, where))

    def put(self) -> int:
        """The version aside is the table from now on; its rows. Raises LoadSuperseded."""
        self._drop_before(self._fence)
        there = self._version(self._there)
        there.loads.refuse_older(self._fence)
        if not self._version(self._aside).is_there:
            raise LoadSuperseded()
        rows = self._hand.number(sql.count(self._aside))
        step = sql.exchange if there.is_there else sql.rename
        self._hand.run(step(self._aside, self._there))
        return rows

    def _drop_before(self, fence: int) -> None:
        for name, other in self._fences().items():
            if other < fence:
                self._hand.run(sql.drop((self._database, name)))

    def _fences(self) -> dict[str, int]:
        params = {"database": self._database, "prefix": self._prefix}
        found = [row["name"] for row in self._hand.rows(sql.NAMES, params)]
        return {name: int(name.removeprefix(self._prefix)) for name in found}

    def _version(self, table: sql.Table) -> Version:
        params = {"database": table[0], "name": table[1]}
        rows = self._hand.rows(sql.VERSION, params)
        return Version.load(rows[0]["uuid"], rows[0]["comment"]) if rows else Version()
