"""Loads a manifest into Redshift, once: COPY into temporary tables, target and ledger together.

Before anything is loaded the ledger is asked, so whatever was cut off where, loading again is
right: what was committed is known, what was not is gone with its session, staging tables included.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors import loading
from connectors.abilities import StagedFiles
from connectors.drift import LoadPlan, decide
from connectors.errors import LoadSuperseded, SchemaChanged
from connectors.redshift import columns, write
from connectors.redshift import sql as statements
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest

if TYPE_CHECKING:
    import psycopg

Run = Callable[..., "psycopg.Cursor[Any]"]
"""Run one statement to its end: text, then if need be parameters."""


class Loader:
    """One session's loads; the promises are those of ``BulkLoad``."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        self._run(statements.create_ledger(target.schema))
        self._run(statements.create_target(target, manifest.schema, manifest.primary_key))
        known = self._is_known(manifest, target)
        if not known:
            kept = self._altered_for(manifest, target)
            known = not self._load(manifest, target, kept, files)
        rows = self._number(statements.count(target.schema, target.table))
        return LoadOutcome(rows, already_loaded=known)

    def plan(self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget) -> LoadPlan:
        there = columns.existing(self._run(*columns.existing_columns(target)).fetchall())
        if not there:
            return LoadPlan(creates=statements.create_target(target, schema, primary_key))
        key = [str(name) for (name,) in self._run(*columns.existing_key(target)).fetchall()]
        merged_by = primary_key if target.mode is LoadMode.MERGE else ()
        found = columns.differences(schema, merged_by, there, key)
        changes = decide(found, target.contract, lambda one: columns.alteration(target, one))
        return LoadPlan(changes=changes)

    def has_loaded(self, target: LoadTarget) -> bool:
        self._run(statements.create_ledger(target.schema))
        there = self._run(*columns.existing_columns(target)).fetchone()
        return there is not None and self._number(*statements.loads_into(target)) > 0

    def _is_known(self, manifest: Manifest, target: LoadTarget) -> bool:
        return self._number(*statements.known_load(target, manifest.load_id)) > 0

    def _altered_for(self, manifest: Manifest, target: LoadTarget) -> list[pa.Field]:
        """Alter the target as the contract allows; the columns to be loaded."""
        plan = self.plan(manifest.schema, manifest.primary_key, target)
        if plan.stops:
            raise SchemaChanged(fields=plan.stops)
        for sql in plan.statements:
            self._run(sql)
        return [f for f in manifest.schema if statements.folded(f.name) not in plan.left_out]

    def _load(
        self, manifest: Manifest, target: LoadTarget, kept: list[pa.Field], files: StagedFiles
    ) -> bool:
        """False where another worker has committed this load meanwhile."""
        stagings = loading.stagings(manifest, target.mode)
        temporary = [staging.name for staging in stagings]
        try:
            for staging in stagings:
                self._stage(staging, manifest.location, target, files)
            rows, made = write.source(manifest, stagings)
            if made is not None:
                temporary.append(rows.name)
                self._run(made)
            expected = self._expected(manifest, target, rows, is_one=made is None)
            return self._commit(manifest, target, kept, rows, expected)
        finally:
            # What a broken session had is gone with it, and dropping it says nothing new.
            self._drop(temporary)

    def _stage(
        self, staging: loading.Staging, location: str, target: LoadTarget, files: StagedFiles
    ) -> None:
        self._run(statements.drop(staging.name))
        self._run(statements.create_staging(staging))
        if not staging.files:
            return
        name = f"{staging.name.lower()}.manifest"
        files.put(location, name, statements.copy_list(staging, location, files))
        self._run(statements.copy(staging, files.url(location, name), target.stage))
        copied = self._number(statements.count(staging.name))
        loading.agree(copied, staging.rows, "read from the stage", "in the manifest")

    def _expected(
        self, manifest: Manifest, target: LoadTarget, rows: write.Source, *, is_one: bool
    ) -> int:
        """How many rows are to be written; raises LoadMismatch where a key comes twice."""
        if is_one and target.mode is not LoadMode.MERGE:
            return manifest.rows
        keys, found = self._row(write.keys_to_write(manifest, rows))
        loading.agree(int(found), int(keys), "staged", "of a key of their own")
        return int(keys)

    def _commit(
        self,
        manifest: Manifest,
        target: LoadTarget,
        kept: list[pa.Field],
        rows: write.Source,
        expected: int,
    ) -> bool:
        with self._transaction():
            self._run(statements.lock_ledger(target.schema))
            if self._is_known(manifest, target):
                return False
            if self._number(*statements.later_loads(target)):
                raise LoadSuperseded()
            written = 0
            for sql, counts in write.writes(target, manifest, kept, rows):
                touched = self._run(sql).rowcount
                written += touched if counts else 0
            loading.agree(written, expected, "written to the target", "staged")
            self._run(*statements.remember(target, manifest))
        return True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _drop(self, names: Sequence[str]) -> None:
        import psycopg

        for name in names:
            try:
                self._run(statements.drop(name))
            except psycopg.Error:
                return

    def _row(self, sql: str, params: Sequence[object] = ()) -> tuple[Any, ...]:
        return self._run(sql, params).fetchone() or (0,)

    def _number(self, sql: str, params: Sequence[object] = ()) -> int:
        return int(self._row(sql, params)[0])
