"""Loads a manifest into a table of a team's database, once: built aside, put in place in one step.

Readers see the version before or the version after, whole; it goes on being read by whoever reads
it. Of two loads at once, whichever has the greater fence wins: each announces itself by its table
aside, whose name has the fence, before it looks for the other, and takes away those of smaller
ones before it puts its own in place. What was taken away cannot be put in place any more.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pyarrow as pa

from connectors import loading
from connectors.abilities import BulkLoad, StagedFiles
from connectors.drift import Difference, Kind, LoadPlan, decide
from connectors.errors import (
    ConnectorError,
    LoadSuperseded,
    SchemaChanged,
    Unsupported,
    WarehouseBusy,
)
from connectors.ledger import Load, with_columns
from connectors.quarantine import Unfit
from connectors.s3.columns import differences
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest
from warehouse.store import ddl, names
from warehouse.store.load import sql, types
from warehouse.store.load.build import Build
from warehouse.store.load.hand import Hand
from warehouse.store.load.sql import Table
from warehouse.store.load.version import Version

TRIES = 5
"""How often a load begins anew when another has come before its own."""
ASIDE = ".aside."
FENCE = re.compile(r"(\d+)(\..*)?")


class StoreLoad(BulkLoad):
    """A team's database, whose tables are named by ``LoadTarget.table`` alone."""

    label = "The store"
    tells_last_load = True
    compares_keys = True

    def __init__(self, team_id: object) -> None:
        self._database = names.database(team_id)
        self._hand = Hand()

    @classmethod
    def stage_fault(cls, stage: str) -> str | None:
        return "Leave it empty: the files are sent to the store." if stage else None

    @classmethod
    def unfit(cls, batch: pa.RecordBatch) -> list[Unfit]:
        return types.unfit(batch)

    def has_loaded(self, target: LoadTarget) -> bool:
        return self.version(target).is_there

    def last_load(self, target: LoadTarget) -> str | None:
        found = self.version(target)
        return found.loads[-1].load_id if found.is_there else None

    def version(self, target: LoadTarget) -> Version:
        """The table as it is now."""
        params = {"database": self._database, "name": target.table}
        rows = self._hand.rows(sql.VERSION, params)
        return Version.load(rows[0]["uuid"], rows[0]["comment"]) if rows else Version()

    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        return self._plan(self.version(target), schema, tuple(primary_key), target)

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        self._hand.run(ddl.create_database(self._database))
        for _ in range(TRIES):
            before = self.version(target)
            known = before.loads.include(manifest.load_id)
            if known or self._follow(before, manifest, target, files):
                self._sweep(target, target.fence)
                rows = self._hand.number(sql.count(self._table(target)))
                return LoadOutcome(rows, already_loaded=known)
        raise WarehouseBusy("Other loads into the same table came first.")

    def tables(self, prefix: str) -> set[str]:
        """Tables whose names begin so, whether they are in place or only aside."""
        params = {"database": self._database, "prefix": prefix}
        found = self._hand.rows(sql.NAMES, params)
        return {row["name"].partition(ASIDE)[0] for row in found}

    def drop(self, table: str) -> None:
        """Remove a table and all that loads have left beside it; harmless when there is none."""
        for name in (table, *self._aside(table)):
            self._hand.run(sql.drop((self._database, name)))

    def _follow(
        self, before: Version, manifest: Manifest, target: LoadTarget, files: StagedFiles
    ) -> bool:
        """Put the next version in place; false where ``before`` is not the table any more."""
        before.loads.refuse_older(target.fence)
        if target.mode is LoadMode.MERGE and not manifest.primary_key:
            raise Unsupported("Only rows with a key can be merged.")
        is_added = target.mode is LoadMode.APPEND and before.is_there
        key = before.key if is_added else manifest.primary_key
        loaded, schema = self._columns(before, manifest, target)
        stagings = loading.stagings(manifest, target.mode)
        keys = loading.staging_of_keys(manifest, target.mode)
        files_loaded = len(manifest.files) + len(manifest.deletes)
        load = Load(manifest.load_id, target.fence, manifest.rows, files_loaded)
        after = before.followed_by(load, schema, key)
        with self._announced(target, after) as aside:
            if any(fence > target.fence for fence in self._aside(target.table).values()):
                raise LoadSuperseded()
            if self.version(target) != before:
                return False
            build = Build(
                self._hand, files, manifest, target, loaded, before, after,
                self._table(target), aside, stagings, keys,
            )  # fmt: skip
            build.fill()
            self._sweep(target, target.fence - 1)
            if self.version(target) != before:
                return False
            put = sql.exchange if before.is_there else sql.rename
            self._hand.run(put(aside, self._table(target)))
            return True

    @contextmanager
    def _announced(self, target: LoadTarget, after: Version) -> Iterator[Table]:
        """The next version's table, empty; nothing of it stays when this ends."""
        aside = self._database, f"{_prefix(target.table)}{target.fence}"
        self._sweep(target, target.fence, target.fence)
        self._hand.create(aside, after.schema, after.key, after.dump())
        try:
            yield aside
        except ConnectorError as exc:
            if exc.retryable or aside[1] in self._aside(target.table):
                raise
            # Whoever has taken it away has a greater fence.
            raise LoadSuperseded() from exc
        finally:
            with suppress(ConnectorError):
                self._sweep(target, target.fence, target.fence)

    def _sweep(self, target: LoadTarget, upto: int, since: int = 0) -> None:
        """Remove what loads of these fences have left aside, among it the version before."""
        for name, fence in self._aside(target.table).items():
            if since <= fence <= upto:
                self._hand.run(sql.drop((self._database, name)))

    def _aside(self, table: str) -> dict[str, int]:
        """Tables beside this one, and the fence of the load that has made each."""
        prefix = _prefix(table)
        params = {"database": self._database, "prefix": prefix}
        found = [row["name"] for row in self._hand.rows(sql.NAMES, params)]
        fences = {name: FENCE.fullmatch(name.removeprefix(prefix)) for name in found}
        return {name: int(fence[1]) for name, fence in fences.items() if fence}

    def _plan(
        self, before: Version, schema: pa.Schema, key: tuple[str, ...], target: LoadTarget
    ) -> LoadPlan:
        if not before.is_there:
            columns = types.columns(schema, key)
            return LoadPlan(creates=ddl.create_table(*self._table(target), columns, key))
        merged_by = key if target.mode is LoadMode.MERGE else ()
        found = differences(schema, before.schema, merged_by, before.key)
        return LoadPlan(changes=decide(found, target.contract, _alteration))

    def _columns(
        self, before: Version, manifest: Manifest, target: LoadTarget
    ) -> tuple[pa.Schema, pa.Schema]:
        """What is loaded, and the table's columns after it, as the contract allows."""
        if not before.is_there:
            return manifest.schema, manifest.schema
        plan = self._plan(before, manifest.schema, manifest.primary_key, target)
        if plan.stops:
            raise SchemaChanged(fields=plan.stops)
        kept = {c.difference.column for c in plan.changes if c.difference.kind is Kind.NARROWED}
        loaded = [field for field in manifest.schema if field.name not in plan.left_out]
        after = with_columns(before.schema, manifest.schema, plan.left_out | kept)
        return pa.schema(loaded), after

    def _table(self, target: LoadTarget) -> Table:
        return self._database, target.table


def _prefix(table: str) -> str:
    return f"{table}{ASIDE}"


def _alteration(difference: Difference) -> str:
    """Nothing is run: the version that the load makes has the column so."""
    return f"-- the next version has the column {difference.column} as {difference.wanted}"
