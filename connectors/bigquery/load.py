"""Loads a manifest into BigQuery, once: the files are sent, then one transaction has the rest.

A load job of BigQuery reads no other cloud's bucket, so the staged files go through here: one at
a time, a piece of each in memory. Staging tables are of one attempt; what has not been committed
is in none but them.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, BinaryIO

import pyarrow as pa

from connectors import loading
from connectors.abilities import StagedFiles
from connectors.bigquery import load_columns as columns
from connectors.bigquery import load_sql as statements
from connectors.bigquery.jobs import CALL_TIMEOUT_S, Client, Config, ended, sent
from connectors.bigquery.parameters import query_parameters
from connectors.drift import LoadPlan, decide
from connectors.errors import LoadSuperseded, SchemaChanged
from connectors.loading import LOAD_TIMEOUT_S, Staging
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest

Staged = list[tuple[Staging, str]]
Row = tuple[Any, ...]


class Loader:
    """One session's loads; the promises are those of ``BulkLoad``. ``config`` is of a query."""

    def __init__(self, client: Client, location: str | None, config: Callable[..., Config]) -> None:
        self._client = client
        self._location = location
        self._config = config

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        self._run(statements.create_ledger(target))
        self._run(statements.create_target(target, manifest.schema, manifest.primary_key))
        known = self._is_known(manifest, target)
        if not known:
            kept = self._altered_for(manifest, target)
            known = not self._load(manifest, target, kept, files)
        ((rows,),) = self._run(statements.count(target, target.table))
        return LoadOutcome(int(rows), already_loaded=known)

    def plan(self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget) -> LoadPlan:
        found = self._described(target)
        if found is None:
            return LoadPlan(creates=statements.create_target(target, schema, primary_key))
        constraints = found.table_constraints
        key = constraints.primary_key.columns if constraints and constraints.primary_key else ()
        merged_by = primary_key if target.mode is LoadMode.MERGE else ()
        differ = columns.differences(schema, merged_by, columns.existing(found.schema), key)
        changes = decide(differ, target.contract, lambda one: columns.alteration(target, one))
        return LoadPlan(changes=changes)

    def has_loaded(self, target: LoadTarget) -> bool:
        self._run(statements.create_ledger(target))
        loads = self._run(statements.loads_into(target), {"target": target.table})
        return bool(loads) and self._described(target) is not None

    def _is_known(self, manifest: Manifest, target: LoadTarget) -> bool:
        return bool(self._run(statements.known_load(target), {"load_id": manifest.load_id}))

    def _described(self, target: LoadTarget) -> Any:
        """The target as the client has it; ``None`` where there is none."""
        from google.api_core.exceptions import NotFound

        name = statements.table_name(target, target.table)
        try:
            return self._client.get_table(name, retry=None, timeout=CALL_TIMEOUT_S)
        except NotFound:
            return None

    def _altered_for(self, manifest: Manifest, target: LoadTarget) -> list[pa.Field]:
        """Alter the target as the contract allows; the columns to be loaded."""
        plan = self.plan(manifest.schema, manifest.primary_key, target)
        if plan.stops:
            raise SchemaChanged(fields=plan.stops)
        for sql in plan.statements:
            self._run(sql)
        left_out = {name.lower() for name in plan.left_out}
        return [field for field in manifest.schema if field.name.lower() not in left_out]

    def _load(
        self, manifest: Manifest, target: LoadTarget, kept: list[pa.Field], files: StagedFiles
    ) -> bool:
        """False where another worker has committed this load meanwhile."""
        attempt = uuid.uuid4().hex[:12]
        stagings = loading.stagings(manifest, target.mode)
        staged = [(one, f"{one.name}_{attempt}") for one in stagings]
        try:
            for staging, name in staged:
                self._stage(staging, name, manifest.location, target, files)
            if target.mode is LoadMode.MERGE or len(staged) > 1:
                self._refuse_keys_twice(manifest, target, staged)
            return self._commit(manifest, target, kept, staged)
        finally:
            for _, name in staged:
                # It goes by itself; what went wrong before is what is told.
                with suppress(Exception):
                    self._run(statements.drop(target, name))

    def _stage(
        self, staging: Staging, name: str, location: str, target: LoadTarget, files: StagedFiles
    ) -> None:
        self._run(statements.create_staging(target, staging, name))
        for number, file in enumerate(staging.files):
            with closing(files.open(location, file.name)) as source:
                self._send(source, file.bytes, f"{name}_{number}", target, name)
        ((rows,),) = self._run(statements.count(target, name))
        loading.agree(int(rows), staging.rows, "read from the stage", "in the manifest")

    def _send(
        self, source: BinaryIO, size: int, job_id: str, target: LoadTarget, name: str
    ) -> None:
        """One load job; under its id, a call that is sent again is still one job."""
        from google.cloud import bigquery

        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        )
        job = self._client.load_table_from_file(
            _Told(source),
            f"{self._client.project}.{statements.table_name(target, name)}",
            size=size,
            job_id=job_id,
            location=self._location,
            job_config=config,
            num_retries=0,
            timeout=LOAD_TIMEOUT_S,
        )
        ended(job, LOAD_TIMEOUT_S)

    def _refuse_keys_twice(self, manifest: Manifest, target: LoadTarget, staged: Staged) -> None:
        rows = statements.source(target, manifest, staged)
        ((found, keys),) = self._run(statements.keys(manifest.primary_key, rows))
        loading.agree(int(found), int(keys), "staged", "of a key of their own")

    def _commit(
        self, manifest: Manifest, target: LoadTarget, kept: list[pa.Field], staged: Staged
    ) -> bool:
        given = {
            "load_id": manifest.load_id,
            "target": target.table,
            "fence": target.fence,
            "rows": manifest.rows,
            "files": len(manifest.files) + len(manifest.deletes),
        }
        later = {name: given[name] for name in ("target", "fence")}
        if self._run(statements.later_load(target), later):
            raise LoadSuperseded()
        writes = statements.writes(target, manifest, kept, staged)
        try:
            self._run(statements.transaction(target, writes), given)
        except Exception:
            # Of two workers one commits; whose transaction came second finds the other's row.
            if self._is_known(manifest, target):
                return False
            if self._run(statements.later_load(target), later):
                raise LoadSuperseded() from None
            raise
        return True

    def _run(self, sql: str, values: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement or a script to its end; its rows, which are few."""
        config = self._config(query_parameters=query_parameters(values or {}))
        job = sent(self._client, sql, config, self._location, LOAD_TIMEOUT_S)
        ended(job, LOAD_TIMEOUT_S)
        if not sql.startswith("SELECT"):
            return []
        return [row.values() for row in job.result(retry=None, timeout=CALL_TIMEOUT_S)]


class _Told:
    """A stream that knows how far it has been read, which the client asks for."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        found = self._source.read(size)
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at
