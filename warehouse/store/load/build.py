"""Builds the next version of a table aside, where no reader looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors import loading
from connectors.abilities import StagedFiles
from connectors.errors import DataError, TooManyDeletes
from connectors.loading import Staging
from connectors.types import LoadMode, LoadTarget, Manifest
from warehouse.store.load import sql
from warehouse.store.load.hand import Hand
from warehouse.store.load.sql import Table
from warehouse.store.load.version import Version


@dataclass(frozen=True)
class Build:
    """One load: the table ``there``, as it is before, and the one ``aside`` to be filled.

    ``schema`` is what is loaded of the manifest; the table may have more columns.
    """

    hand: Hand
    files: StagedFiles
    manifest: Manifest
    target: LoadTarget
    schema: pa.Schema
    before: Version
    after: Version
    there: Table
    aside: Table
    stagings: Sequence[Staging]
    keys: Staging | None

    def fill(self) -> None:
        """Raises LoadMismatch where rows are not as many as the manifest has, DataError for a key
        that comes twice, TooManyDeletes."""
        if self._is_direct:
            expected = self._carry() + self.manifest.rows
            self._send(self.stagings[0], self.aside)
            if self.target.mode is LoadMode.MERGE:
                self._refuse_twice(self.aside)
        else:
            expected = self._merge()
        there = self.hand.number(sql.count(self.aside))
        loading.agree(there, expected, "written to the table", "to be there")
        if self.keys is not None:
            self._leave(self.keys)

    @property
    def _key(self) -> tuple[str, ...]:
        return self.manifest.primary_key

    @property
    def _is_direct(self) -> bool:
        """Every row of the files becomes a row of the table."""
        is_merged = self.target.mode is LoadMode.MERGE and self.before.is_there
        return len(self.stagings) == 1 and not self.manifest.deletes and not is_merged

    @property
    def _stays(self) -> bool:
        return self.before.is_there and self.target.mode is not LoadMode.SWAP

    def _carry(self, changed: str = "") -> int:
        """Take over the rows that stay, which are all but those of the keys ``changed``; how
        many."""
        if not self._stays:
            return 0
        where = sql.without(self._key, changed)
        rows = self.hand.number(sql.count(self.there, where))
        if (self.before.schema, self.before.key) != (self.after.schema, self.after.key):
            self.hand.run(sql.copy(self.there, self.aside, self.before.schema.names, where))
            return rows
        # By links to the files there are: only those that have such a row are written anew.
        self.hand.run(sql.link(self.there, self.aside))
        if changed:
            self.hand.run(sql.leave(self.aside, sql.within(self._key, changed)))
        return rows

    def _merge(self) -> int:
        """The rows that stay, and of each key that has changed its newest row; how many."""
        staged = [self._staged(staging) for staging in self.stagings]
        rows = self._carry(sql.keys(staged, self._key))
        for staging, table in zip(self.stagings, staged, strict=True):
            if not staging.deletes:
                newer = sql.without(self._key, sql.keys(staged[staging.place + 1 :], self._key))
                rows += self.hand.number(sql.count(table, newer))
                self.hand.run(self._add(table, newer))
        return rows

    def _add(self, table: Table, where: str) -> str:
        names = self.schema.names
        kept = [name for name in self.before.schema.names if name not in names]
        if not kept or not self._stays:
            return sql.copy(table, self.aside, names, where)
        return sql.copy_beside(table, self.aside, names, where, self.there, kept, self._key)

    def _staged(self, staging: Staging) -> Table:
        """A staging table with all its files."""
        table = self.aside[0], f"{self.aside[1]}.{staging.place}"
        names = set(staging.schema.names) & set(self.schema.names)
        fields = [field for field in self.after.schema if field.name in names]
        self.hand.create(table, pa.schema(fields), self._key)
        self._send(staging, table)
        if not staging.deletes:
            self._refuse_twice(table)
        return table

    def _send(self, staging: Staging, table: Table) -> None:
        names = [name for name in staging.schema.names if name in self.schema.names]
        for file in staging.files:
            rows = self.hand.send(table, names, self.files, self.manifest.location, file)
            loading.agree(rows, file.rows, f"read from {file.name}", "in the manifest")

    def _refuse_twice(self, table: Table) -> None:
        if self.hand.number(sql.twice(table, self._key)):
            raise DataError(
                "Two rows have the same primary key.",
                hint="A key that names one row is needed; or use mode full.",
            )

    def _leave(self, keys: Staging) -> None:
        """Take out rows whose key is not in the source any more."""
        staged = self._staged(keys)
        gone = sql.without(self._key, sql.keys([staged], self._key))
        if self.before.is_there:
            rows = self.hand.number(sql.count(self.there))
            leaving = self.hand.number(sql.count(self.there, gone))
            if leaving * 100 > rows * self.target.delete_limit_percent:
                raise TooManyDeletes(
                    f"{leaving:,} of {rows:,} rows in the target are not in the source any more, "
                    f"which is more than {self.target.delete_limit_percent} %; nothing was loaded."
                )
        self.hand.run(sql.leave(self.aside, gone))
