"""BigQuery, through google-cloud-bigquery, with results over the Storage Read API."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator

from connectors import bigquery_errors, errors, prices
from connectors import bigquery_jobs as jobs
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import ConnectorError
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Column,
    Estimate,
    Limits,
    Params,
    RunStats,
    Table,
    TableFilter,
)

# The client's own annotations are partial and refuse its documented retry=None.
Client = Any
Job = Any
Storage = Any

API = "https://bigquery.googleapis.com"
STORAGE_API = "https://bigquerystorage.googleapis.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 an address, not a secret
GOOGLE = ".googleapis.com"
SCOPE = "https://www.googleapis.com/auth/bigquery"
NEEDED_IN_KEY = ("client_email", "private_key", "token_uri")
DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
METADATA_TIMEOUT_S = 60
PAGE_ROWS = 50_000
BASES = {"PRECISE": Basis.EXACT, "UPPER_BOUND": Basis.UPPER_BOUND}
"""How far a dry run's bytes can be trusted, by what it says itself; else they are rough."""


class BigQueryCredentials(Credentials):
    """A service account of one Google Cloud project."""

    receiver_fields: ClassVar = frozenset({"api_endpoint", "storage_endpoint"})

    project: str = Field(title="Project", pattern=r"^[a-z0-9][a-z0-9.:-]{2,100}$")
    service_account_json: SecretStr = Field(
        title="Service account key", description="The whole JSON file, as text or as an object."
    )
    dataset: str | None = Field(
        None, title="Default dataset", pattern=r"^[A-Za-z0-9_]+$", max_length=1024
    )
    location: str | None = Field(None, title="Location", pattern=r"^[A-Za-z0-9-]{2,40}$")
    api_endpoint: str = Field(API, title="API endpoint")
    storage_endpoint: str | None = Field(
        None,
        title="Storage Read API endpoint",
        description="host:port of a plain-text endpoint.",
        pattern=r"^[A-Za-z0-9._-]+:[0-9]{1,5}$",
    )

    @field_validator("service_account_json", mode="before")
    @classmethod
    def _whole_key(cls, value: object) -> object:
        text = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(text, str):
            _key_info(text)
        return text

    def key_info(self) -> dict[str, str]:
        """The key file as a mapping."""
        return _key_info(self.service_account_json.get_secret_value())

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        key = self.key_info()
        yield key["private_key"]
        yield from key["private_key"].splitlines()
        yield str(key.get("private_key_id", ""))

    def target(self) -> str:
        return self.project if self.dataset is None else f"{self.project}.{self.dataset}"


def _key_info(text: str) -> dict[str, str]:
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON: paste the whole key file.") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise ValueError('This is not a service-account key: "type" must be "service_account".')
    missing = [name for name in NEEDED_IN_KEY if not isinstance(key.get(name), str)]
    if missing:
        raise ValueError(f"The key file lacks {', '.join(missing)}.")
    return key


class BigQuery(Connector):
    """One Google Cloud project. Writes are refused by the account's role (Data Viewer)."""

    provider = "bigquery"
    label = "BigQuery"
    domains = (GOOGLE,)
    credentials_model = BigQueryCredentials
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
    credentials: BigQueryCredentials
    _client: Client
    _storage: Storage | None = None

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form = self.credentials
        urls = [form.api_endpoint, form.key_info()["token_uri"]]
        if form.storage_endpoint:
            urls.append(f"http://{form.storage_endpoint}")
        elif form.api_endpoint == API:
            urls.append(STORAGE_API)
        return tuple(dict.fromkeys(Endpoint.of_url(url) for url in urls))

    def _connect(self, addresses: tuple[str, ...]) -> None:
        import requests
        from google.api_core.client_options import ClientOptions
        from google.auth.transport.requests import AuthorizedSession, Request
        from google.cloud import bigquery

        form = self.credentials
        account = _service_account(form)
        tokens = requests.Session()
        session = AuthorizedSession(
            account, refresh_timeout=CONNECT_TIMEOUT_S, auth_request=Request(tokens)
        )
        # A redirect could lead past the network guard; the real API never sends one.
        session.max_redirects = tokens.max_redirects = 0
        _refresh_once(account, Request(tokens), CONNECT_TIMEOUT_S)
        self._client = bigquery.Client(
            project=form.project,
            credentials=account,
            location=form.location,
            client_options=ClientOptions(api_endpoint=form.api_endpoint),
            _http=session,
        )
        self._storage = _storage_client(form, account)

    def _close(self) -> None:
        self._client.close()
        if self._storage is not None:
            self._storage.transport.close()

    def _config(self, limits: Limits, run_id: str, **more: Any) -> Any:
        from google.cloud import bigquery

        form = self.credentials
        tags = self.context.tags(run_id)
        labels = {name: jobs.label(value) for name, value in tags.items()}
        config = bigquery.QueryJobConfig(
            labels=labels,
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
        config = self._config(limits, run_id, query_parameters=jobs.query_parameters(params))
        send = partial(self._start, sql, config, limits.timeout_s)
        return BigQueryExecution(send, limits.timeout_s, self._storage)

    def _start(self, sql: str, config: Any, timeout_s: float) -> Job:
        """Send a job off, once: the client would send some again for ten minutes."""
        return self._client.query(
            sql, job_config=config, retry=None, job_retry=None, timeout=timeout_s
        )

    def _tables(self, wanted: TableFilter) -> list[Table]:
        schema = wanted.schema
        datasets = [schema]
        if schema is None:
            found = self._client.list_datasets(retry=None, timeout=METADATA_TIMEOUT_S)
            datasets = [dataset.dataset_id for dataset in found]
        return [table for dataset in datasets for table in self._tables_of(str(dataset))]

    def _tables_of(self, dataset: str) -> Iterator[Table]:
        if not DATASET.fullmatch(dataset):
            return
        listed = self._client.list_tables(dataset, retry=None, timeout=METADATA_TIMEOUT_S)
        kinds = {t.table_id: t.table_type.lower() for t in _unless_missing(listed)}
        if not kinds:
            return
        columns: dict[str, list[Column]] = {name: [] for name in kinds}
        name = f"`{self.credentials.project}.{dataset}`.INFORMATION_SCHEMA.COLUMNS"
        config = self._config(Limits(timeout_s=METADATA_TIMEOUT_S), "")
        job = self._start(_COLUMNS.format(columns=name), config, METADATA_TIMEOUT_S)
        jobs.wait(job, METADATA_TIMEOUT_S)
        for row in job.result(retry=None, job_retry=None):
            nullable = row.is_nullable == "YES"
            column = Column(row.column_name, row.data_type, nullable, row.ordinal_position)
            columns.setdefault(row.table_name, []).append(column)
        for table, kind in sorted(kinds.items()):
            yield Table(self.credentials.project, dataset, table, kind, tuple(columns[table]))

    def _estimate(self, sql: str) -> Estimate:
        config = self._config(Limits(timeout_s=30), "", dry_run=True, use_query_cache=False)
        job = self._start(sql, config, 30)
        scanned = job.total_bytes_processed
        accuracy = jobs.accuracy(job)
        if scanned is None or accuracy == "UNKNOWN":
            return Estimate(None, None, None, None, prices.CURRENCY, Basis.UNKNOWN, _PRICE)
        price = prices.bigquery(scanned, len(job.referenced_tables))
        basis = BASES.get(accuracy or "", Basis.ROUGH)
        return Estimate(scanned, None, price.low, price.high, prices.CURRENCY, basis, _PRICE)

    def _error(self, exc: Exception) -> ConnectorError | None:
        return bigquery_errors.error_for(exc)

    def _said(self, exc: Exception) -> str:
        return bigquery_errors.said(exc)


class BigQueryExecution(Execution):
    """A query job; its rows are read lazily."""

    def __init__(self, send: Callable[[], Job], timeout_s: float, storage: Storage | None) -> None:
        self._send = send
        self._timeout_s = timeout_s
        self._storage = storage
        self._job: Job | None = None

    def start(self) -> None:
        self._job = self._send()
        jobs.wait(self._job, self._timeout_s)
        self._rows = self._job.result(page_size=PAGE_ROWS, retry=None, job_retry=None)
        self.schema = arrow_schema(self._rows.schema)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._rows.to_arrow_iterable(bqstorage_client=self._storage):
            columns = [batch.column(i).cast(f.type) for i, f in enumerate(self.schema)]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def stats(self) -> RunStats:
        job: Any = self._job
        return RunStats(job.job_id, job.total_bytes_processed, job.total_bytes_billed)

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel(retry=None, timeout=5)

    def close(self) -> None:
        if self._job is not None and self._job.state != "DONE":
            self.cancel()


_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, ordinal_position
FROM {columns} ORDER BY table_name, ordinal_position
"""

_PRICE = (
    f"Bytes of a dry run at ${prices.BIGQUERY_PER_TIB} a TiB on demand ({prices.AS_OF}), "
    "10 MiB a table at least; LIMIT does not lower it."
)

SCALARS: dict[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "BOOLEAN": pa.bool_(),
    "BYTES": pa.binary(),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "FLOAT": pa.float64(),
    "FLOAT64": pa.float64(),
    "INT64": pa.int64(),
    "INTEGER": pa.int64(),
    "NUMERIC": pa.decimal128(38, 9),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


def arrow_schema(fields: Any) -> pa.Schema:
    """The Arrow schema of a BigQuery schema; JSON, GEOGRAPHY and INTERVAL arrive as text."""
    return pa.schema([pa.field(f.name, _arrow_type(f)) for f in fields])


def _arrow_type(field: Any) -> pa.DataType:
    if field.field_type in ("RECORD", "STRUCT"):
        kind = pa.struct([pa.field(f.name, _arrow_type(f)) for f in field.fields])
    else:
        kind = SCALARS.get(field.field_type, pa.string())
    return pa.list_(kind) if field.mode == "REPEATED" else kind


def _service_account(form: BigQueryCredentials) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from google.oauth2.service_account import Credentials as ServiceAccount

    class Account(ServiceAccount):
        def _maybe_start_regional_access_boundary_refresh(self, request: Any, url: str) -> None:
            """Off: it would send the token to another host, in a thread of its own."""

    try:
        return Account.from_service_account_info(form.key_info(), scopes=[SCOPE])
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise errors.CredentialsRejected("The private key in the key file is broken.") from exc


def _unless_missing(tables: Any) -> Iterator[Any]:
    """The tables of a listing; none when the dataset does not exist."""
    from google.api_core.exceptions import NotFound

    try:
        yield from tables
    except NotFound:
        return


def _refresh_once(account: Any, request: Any, timeout_s: float) -> None:
    """Sign in now, so that a refused key is a failed sign-in and not a failed query."""
    from functools import partial

    account.refresh(partial(request, timeout=timeout_s))


def _storage_client(form: BigQueryCredentials, account: Any) -> Storage | None:
    """A Storage Read API client; plain text only to an endpoint that the form names."""
    from google.cloud.bigquery_storage import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read import transports

    if form.storage_endpoint:
        import grpc

        channel = grpc.insecure_channel(
            form.storage_endpoint, options=[("grpc.max_receive_message_length", -1)]
        )
        return BigQueryReadClient(transport=transports.BigQueryReadGrpcTransport(channel=channel))
    return BigQueryReadClient(credentials=account) if form.api_endpoint == API else None


CONNECTOR = BigQuery
