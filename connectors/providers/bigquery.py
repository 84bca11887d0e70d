"""BigQuery, through google-cloud-bigquery, with results over the Storage Read API."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from connectors import errors
from connectors.abilities import BulkLoad, StagedFiles
from connectors.bigquery import auth, load_sql
from connectors.bigquery import errors as bigquery_errors
from connectors.bigquery import jobs as bigquery_jobs
from connectors.bigquery.catalog import Row
from connectors.bigquery.credentials import GOOGLE, GRANTS, BigQueryCredentials
from connectors.bigquery.fill import BigQueryFill
from connectors.bigquery.jobs import BigQueryExecution
from connectors.bigquery.listing import Listing
from connectors.bigquery.load import Loader
from connectors.bigquery.parameters import query_parameters
from connectors.drift import LoadPlan
from connectors.errors import ConnectorError
from connectors.extract_query import QueryExtract
from connectors.loading import LOAD_TIMEOUT_S
from connectors.network import Endpoint
from connectors.prices import BigQueryPrices
from connectors.quarantine import Unfit
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Estimate,
    Limits,
    LoadOutcome,
    LoadTarget,
    Manifest,
    Params,
    Table,
    TableFilter,
)

# The client's own annotations are partial and refuse its documented retry=None.
Client = Any
Config = Any
Job = Any
Storage = Any

METADATA_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 5.0
ESTIMATE_TIMEOUT_S = 30.0
BASES = {"PRECISE": Basis.EXACT, "UPPER_BOUND": Basis.UPPER_BOUND}
"""How far a dry run's bytes can be trusted, by what it says itself; else they are rough."""
WRITE = "CREATE TABLE IF NOT EXISTS {dataset}.warehouse_write_check (n INT64)"


class BigQuery(QueryExtract, BigQueryFill, BulkLoad):
    """One Google Cloud project. Writes are refused by the account's role (Data Viewer)."""

    provider = "bigquery"
    label = "BigQuery"
    domains = (GOOGLE,)
    credentials_model = BigQueryCredentials
    prices_model = BigQueryPrices
    capabilities: ClassVar = Capabilities(
        dialect="bigquery",
        folds_to="keep",
        cost_basis=Basis.EXACT,
        limits_time=True,
        limits_bytes_scanned=True,
        read_only_session=False,
        refused_functions=frozenset(
            """external_query external_object_transform obj.* ai.* ml.annotate_image ml.generate_*
            ml.process_document ml.transcribe ml.translate ml.understand_text""".split()
        ),
    )
    placeholder = r"\?|(?<!@)@\w+"
    grants = GRANTS
    time_types: ClassVar = {"instant": "TIMESTAMP", "time": "DATETIME", "day": "DATE"}
    credentials: BigQueryCredentials
    prices: BigQueryPrices
    _client: Client
    _storage: Storage | None = None

    def _form(self, credentials: Any) -> BigQueryCredentials:
        form: BigQueryCredentials = credentials
        if form.use_machine_identity and f"{self.provider}:{form.project}" not in self.own_identity:
            fault = "The operator has not allowed this for this project."
            raise errors.InvalidCredentials(fields={"use_machine_identity": fault})
        return form

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form, key = self.credentials, self.credentials.key_info()
        found = [
            Endpoint.of_url(form.api_endpoint),
            Endpoint.of_url(key["token_uri"]) if key else None,
            form.storage_address(),
        ]
        return tuple(dict.fromkeys(endpoint for endpoint in found if endpoint))

    def _judge(self, endpoint: Endpoint) -> None:
        super()._judge(endpoint)
        is_googles = endpoint.tls and endpoint.host.lower().endswith(GOOGLE)
        is_named = f"{endpoint.host}:{endpoint.port}" in self.network.hosts
        # A token of this machine is the operator's: no team may have it sent to a host that is
        # open to it for other reasons.
        if self.credentials.use_machine_identity and not is_googles and not is_named:
            raise errors.HostRefused("The identity of this machine is for Google's hosts only.")

    def _judge_url(self, url: str) -> None:
        """For calls that google-auth makes, to addresses of a key file or of the machine."""
        endpoint = Endpoint.of_url(url)
        if self.credentials.use_machine_identity and endpoint in auth.METADATA_SERVERS:
            return
        self._judge(endpoint)
        self.network.resolve(endpoint)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        from google.api_core.client_options import ClientOptions
        from google.cloud import bigquery

        form, key = self.credentials, self.credentials.key_info()
        calls = auth.TokenCalls(self._judge_url)
        account = auth.own_identity(calls) if key is None else auth.service_account(key)
        self._client = bigquery.Client(
            project=form.project,
            credentials=account,
            location=form.location,
            client_options=ClientOptions(api_endpoint=form.api_endpoint),
            _http=auth.http_session(account, calls),
        )
        storage = form.storage_address()
        self._storage = storage and auth.storage_client(storage, account, calls)

    def _close(self) -> None:
        self._client.close()
        if self._storage is not None:
            self._storage.transport.close()

    def _config(self, limits: Limits, run_id: str = "", **more: Any) -> Config:
        from google.cloud import bigquery

        form = self.credentials
        tags = self.context.tags(run_id)
        config = bigquery.QueryJobConfig(
            labels={name: bigquery_jobs.label(value) for name, value in tags.items()},
            use_legacy_sql=False,
            job_timeout_ms=max(1, int(limits.timeout_s * 1000)),
            **more,
        )
        if limits.max_bytes_scanned is not None:
            config.maximum_bytes_billed = limits.max_bytes_scanned
        if form.dataset:
            config.default_dataset = f"{form.project}.{form.dataset}"
        return config

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        config = self._config(limits, run_id, query_parameters=query_parameters(params))
        return BigQueryExecution(
            self._client, self._storage, sql, config, limits.timeout_s, self.prices
        )

    def _dry_run(self, sql: str, timeout_s: float = CALL_TIMEOUT_S, **more: Any) -> Job:
        """What a statement would read, checked in full; it runs nothing and bills nothing."""
        config = self._config(Limits(timeout_s), dry_run=True, use_query_cache=False, **more)
        return self._client.query(
            sql, job_config=config, retry=None, job_retry=None, timeout=timeout_s
        )

    # What a check looks at.

    def _usable(self) -> str:
        form = self.credentials
        with self._blaming("project", "Queries cannot be run in it by this account."):
            self._dry_run("SELECT 1")
        if form.dataset is None:
            return f"project {form.project}"
        name = f"{form.project}.{form.dataset}"
        with self._blaming("dataset", "It does not exist, or this account may not read it."):
            found = self._client.get_dataset(name, retry=None, timeout=CALL_TIMEOUT_S)
        if not Listing(self._client, form.location, self._read).may_list(form.dataset):
            raise _unusable("dataset", "This account may not see its tables.")
        if form.location and found.location.lower() != form.location.lower():
            raise _unusable("location", f"The default dataset lies in {found.location}.")
        return f"project {form.project}, dataset {form.dataset}, location {found.location}"

    @contextmanager
    def _blaming(self, field: str, fault: str) -> Iterator[None]:
        """What is missing or forbidden within is the fault of that field of the form."""
        from google.api_core.exceptions import GoogleAPICallError

        try:
            yield
        except GoogleAPICallError as exc:
            found = bigquery_errors.error_for(exc)
            if isinstance(found, errors.SqlInvalid) and self.credentials.location:
                field, fault = "location", "There is no such location."
            elif not isinstance(found, (errors.PermissionDenied, errors.ObjectNotFound)):
                raise
            error = _unusable(field, fault)
            self._log(exc, error)
            raise error from exc

    def _may_write(self) -> bool | None:
        from google.api_core.exceptions import GoogleAPICallError

        if self.credentials.dataset is None:
            return None
        try:
            self._dry_run(WRITE.format(dataset=f"`{self.credentials.dataset}`"))
        except GoogleAPICallError as exc:
            if isinstance(bigquery_errors.error_for(exc), errors.PermissionDenied):
                return False
            raise
        return True

    # Metadata.

    def _tables(self, wanted: TableFilter) -> list[Table]:
        """One statement a location for its tables, and one for the primary keys in their datasets.

        Both are billed on demand, as every query of INFORMATION_SCHEMA is, 10 MB a view at least:
        five views for a location, and one a dataset for the keys. Where the account has rights on
        datasets only, or where one dataset is asked for, it is five views a dataset.
        """
        return Listing(self._client, self.credentials.location, self._read).tables(wanted)

    def _read(self, sql: str, values: Mapping[str, object], location: str) -> Iterator[Row]:
        config = self._config(Limits(METADATA_TIMEOUT_S), query_parameters=query_parameters(values))
        execution = BigQueryExecution(
            self._client, self._storage, sql, config, METADATA_TIMEOUT_S, self.prices, location
        )
        try:
            execution.start()
            for batch in execution.batches():
                yield from batch.to_pylist()
        finally:
            execution.close()

    def _estimate(self, sql: str, params: Params) -> Estimate:
        job = self._dry_run(sql, ESTIMATE_TIMEOUT_S, query_parameters=query_parameters(params))
        scanned, accuracy = job.total_bytes_processed, bigquery_jobs.accuracy(job)
        money, said = self.prices, f"{_BYTES} {self.prices}"
        if scanned is None or accuracy == "UNKNOWN":
            return Estimate(None, None, None, None, money.currency, Basis.UNKNOWN, said)
        price = money.of(scanned, len(job.referenced_tables))
        basis = BASES.get(accuracy or "", Basis.ROUGH)
        return Estimate(scanned, None, price.low, price.high, money.currency, basis, said)

    def _error(self, exc: Exception) -> ConnectorError | None:
        found = bigquery_errors.error_for(exc)
        if isinstance(found, errors.CredentialsRejected):
            way = "service_account_json" if self.credentials.key_info() else "use_machine_identity"
            found.fields = {way: "Google refused it."}
        if isinstance(found, errors.HostUnreachable) and self._open:
            return errors.ConnectionLost()
        return found

    def _said(self, exc: Exception) -> str:
        return bigquery_errors.said(exc)

    # Extract

    def _path(self, *names: str) -> str:
        return load_sql.quoted(*names)

    # BulkLoad

    @classmethod
    def stage_fault(cls, stage: str) -> str | None:
        return "Leave it empty: the files are sent to BigQuery." if stage else None

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        with self._session():
            return self._loader().load(manifest, target, files)

    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        with self._session():
            return self._loader().plan(schema, primary_key, target)

    @classmethod
    def unfit(cls, batch: pa.RecordBatch) -> list[Unfit]:
        return load_sql.ROOM.unfit(batch)

    def has_loaded(self, target: LoadTarget) -> bool:
        with self._session():
            return self._loader().has_loaded(target)

    def _loader(self) -> Loader:
        config = partial(self._config, Limits(LOAD_TIMEOUT_S))
        return Loader(self._client, self.credentials.location, config)


def _unusable(field: str, fault: str) -> errors.ResourceUnusable:
    return errors.ResourceUnusable(
        f"The {field} of this connection cannot be used. {fault}", fields={field: fault}
    )


_BYTES = "Bytes of a dry run, on demand; LIMIT does not lower them."

CONNECTOR = BigQuery
