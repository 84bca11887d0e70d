"""Loads a manifest into Snowflake, once: COPY into staging tables, target and ledger together.

Before anything is loaded the ledger is asked, so whatever was cut off where, loading again is
right: what was committed is known, what was not is gone with its session, staging tables included.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors import loading
from connectors.drift import LoadPlan, decide
from connectors.errors import LoadSuperseded, SchemaChanged, TooManyDeletes
from connectors.loading import LOAD_TIMEOUT_S
from connectors.snowflake import columns, write
from connectors.snowflake import sql as statements
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

Run = Callable[..., "SnowflakeCursor"]
"""Run one statement to its end: text, then if need be parameters and ``timeout_s``."""


class Loader:
    """One session's loads; the promises are those of ``BulkLoad``."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def load(self, manifest: Manifest, target: LoadTarget) -> LoadOutcome:
        self._run(statements.create_ledger(target.schema))
        self._run(statements.create_target(target, manifest.schema, manifest.primary_key))
        known = self._is_known(manifest, target)
        if not known:
            known = not self._load(self._altered_for(manifest, target), target)
        return LoadOutcome(self._count(target), already_loaded=known)

    def plan(self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget) -> LoadPlan:
        there = columns.existing(_rows(self._run(*columns.existing_columns(target))))
        if not there:
            return LoadPlan(creates=statements.create_target(target, schema, primary_key))
        keys = [row["column_name"] for row in _named(self._run(columns.existing_key(target)))]
        merged_by = primary_key if target.mode is LoadMode.MERGE else ()
        found = columns.differences(schema, merged_by, there, keys)
        changes = decide(found, target.contract, lambda one: columns.alteration(target, one))
        return LoadPlan(changes=changes)

    def has_loaded(self, target: LoadTarget) -> bool:
        return self.last_load(target) is not None

    def last_load(self, target: LoadTarget) -> str | None:
        self._run(statements.create_ledger(target.schema))
        there = self._run(*columns.existing_columns(target)).fetchone()
        known = self._run(*statements.last_load(target)).fetchone()
        return str(known[0]) if there is not None and isinstance(known, tuple) else None

    def _is_known(self, manifest: Manifest, target: LoadTarget) -> bool:
        known = self._run(*statements.known_load(target, manifest.load_id)).fetchone()
        return known is not None

    def _altered_for(self, manifest: Manifest, target: LoadTarget) -> Manifest:
        """Alter the target as the contract allows; the manifest with the columns to be loaded."""
        plan = self.plan(manifest.schema, manifest.primary_key, target)
        if plan.stops:
            raise SchemaChanged(fields=plan.stops)
        for sql in plan.statements:
            self._run(sql)
        kept = [f for f in manifest.schema if statements.folded(f.name) not in plan.left_out]
        return replace(manifest, schema=pa.schema(kept))

    def _load(self, manifest: Manifest, target: LoadTarget) -> bool:
        """False where another worker has committed this load meanwhile."""
        try:
            self._commit(manifest, target)
        except LoadSuperseded:
            if not self._is_known(manifest, target):
                raise
            return False
        return True

    def _commit(self, manifest: Manifest, target: LoadTarget) -> None:
        stagings = loading.stagings(manifest, target.mode)
        kept = loading.staging_of_keys(manifest, target.mode)
        tables = stagings if kept is None else (*stagings, kept)
        # Data definition commits an open transaction, so all of it comes before BEGIN.
        for staging in tables:
            self._stage(staging, manifest.location, target)
        expected = manifest.rows
        if target.mode is LoadMode.MERGE or len(stagings) > 1:
            expected = self._number(write.rows_to_write(target, manifest, stagings))
        with self._transaction():
            if kept is not None:
                self._judge(target, manifest, kept)
            for sql in write.writes(target, manifest, stagings):
                written = _rows_written(self._run(sql, timeout_s=LOAD_TIMEOUT_S))
            loading.agree(written, expected, "written to the target", "staged")
            if kept is not None:
                self._run(write.leave(target, manifest, kept), timeout_s=LOAD_TIMEOUT_S)
            if self._run(*statements.remember(target, manifest)).rowcount != 1:
                raise LoadSuperseded()
        for staging in tables:
            self._run(statements.drop_staging(target, staging))

    def _judge(self, target: LoadTarget, manifest: Manifest, kept: loading.Staging) -> None:
        """Raise TooManyDeletes, before anything is written."""
        sql = write.rows_to_leave(target, manifest, kept)
        (counted,) = _rows(self._run(sql, timeout_s=LOAD_TIMEOUT_S))
        rows, gone = map(int, counted)
        if gone * 100 > rows * target.delete_limit_percent:
            raise TooManyDeletes(
                f"{gone:,} of {rows:,} rows in the target are not in the source any more, which is "
                f"more than {target.delete_limit_percent} %; nothing was loaded."
            )

    def _stage(self, staging: loading.Staging, location: str, target: LoadTarget) -> None:
        self._run(statements.create_staging(target, staging))
        copied = sum(
            _rows_loaded(self._run(sql, timeout_s=LOAD_TIMEOUT_S))
            for sql in statements.copies(target, staging, location)
        )
        loading.agree(copied, staging.rows, "read from the stage", "in the manifest")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _count(self, target: LoadTarget) -> int:
        return self._number(statements.count(target.schema, target.table))

    def _number(self, sql: str) -> int:
        row = self._run(sql, timeout_s=LOAD_TIMEOUT_S).fetchone()
        return int(row[0]) if isinstance(row, tuple) else 0


def _rows(cursor: "SnowflakeCursor") -> list[tuple[Any, ...]]:
    return [row for row in cursor.fetchall() if isinstance(row, tuple)]


def _named(cursor: "SnowflakeCursor") -> list[dict[str, Any]]:
    """Rows by the names of their columns, which depend on what was done."""
    names = [column.name.lower() for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in _rows(cursor)]


def _rows_loaded(cursor: "SnowflakeCursor") -> int:
    # COPY that finds nothing to do answers with one sentence instead of a row per file.
    return sum(int(row.get("rows_loaded", 0)) for row in _named(cursor))


def _rows_written(cursor: "SnowflakeCursor") -> int:
    """Rows that a statement inserted and updated, without those that it deleted."""
    counted = ("number of rows inserted", "number of rows updated")
    return sum(int(row.get(name, 0)) for row in _named(cursor) for name in counted)
