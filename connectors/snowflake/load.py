"""Loads a manifest into Snowflake, once: COPY into a staging table, MERGE and ledger together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connectors.errors import LoadMismatch, LoadSuperseded, SchemaChanged
from connectors.snowflake import sql as statements
from connectors.types import LoadOutcome, LoadTarget, Manifest

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

LOAD_TIMEOUT_S = 4 * 3600

Run = Callable[..., "SnowflakeCursor"]
"""Run one statement to its end: text, then if need be parameters and ``timeout_s``."""


class Loader:
    """One session's loads; the promises are those of ``BulkLoad``."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def load(self, manifest: Manifest, target: LoadTarget) -> LoadOutcome:
        self._run(statements.create_ledger(target.schema))
        self._run(statements.create_target(target, manifest))
        self._compare(manifest, target)
        known = self._run(*statements.known_load(target, manifest.load_id)).fetchone()
        if known is None:
            self._load(manifest, target)
        return LoadOutcome(self._count(target), already_loaded=known is not None)

    def has_loaded(self, target: LoadTarget) -> bool:
        self._run(statements.create_ledger(target.schema))
        there = self._run(*statements.existing_columns(target)).fetchone()
        known = self._run(*statements.loads_into(target)).fetchone()
        return there is not None and known is not None

    def _load(self, manifest: Manifest, target: LoadTarget) -> None:
        staging = f"WAREHOUSE_STAGING_{manifest.load_id.replace('-', '_')}"
        # Data definition commits an open transaction, so all of it comes before BEGIN.
        self._run(statements.create_staging(target, staging, manifest))
        staged = sum(
            _rows_loaded(self._run(sql, timeout_s=LOAD_TIMEOUT_S))
            for sql in statements.copies(target, staging, manifest)
        )
        _agree(staged, manifest, "COPY read")
        with self._transaction():
            merged = self._run(
                statements.merge(target, staging, manifest), timeout_s=LOAD_TIMEOUT_S
            ).fetchone()
            _agree(sum(merged) if isinstance(merged, tuple) else 0, manifest, "MERGE wrote")
            if self._run(*statements.remember(target, manifest)).rowcount != 1:
                raise LoadSuperseded()
        self._run(f"DROP TABLE IF EXISTS {statements.quoted(target.schema, staging)}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _compare(self, manifest: Manifest, target: LoadTarget) -> None:
        existing = self._run(*statements.existing_columns(target)).fetchall()
        rows = [row for row in existing if isinstance(row, tuple)]
        if found := statements.differences(manifest, rows):
            raise SchemaChanged(fields=found)

    def _count(self, target: LoadTarget) -> int:
        row = self._run(statements.count(target.schema, target.table)).fetchone()
        return int(row[0]) if isinstance(row, tuple) else 0


def _rows_loaded(cursor: "SnowflakeCursor") -> int:
    names = [column.name.lower() for column in cursor.description or ()]
    if "rows_loaded" not in names:
        # COPY that finds nothing to do answers with one sentence instead of a row per file.
        return 0
    position = names.index("rows_loaded")
    return sum(int(row[position]) for row in cursor.fetchall() if isinstance(row, tuple))


def _agree(rows: int, manifest: Manifest, what: str) -> None:
    if rows != manifest.rows:
        raise LoadMismatch(f"{what} {rows:,} rows where the manifest has {manifest.rows:,}.")
