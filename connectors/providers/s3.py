"""A bucket of one's own, through boto3: a destination of pipelines, which runs no queries.

Its files are the staged ones, byte by byte: types are Arrow's, as Parquet has them, all exact.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NoReturn

import pyarrow as pa
from pydantic import SecretStr

from connectors.abilities import BulkLoad, StagedFiles
from connectors.base import Connector
from connectors.check import Finding
from connectors.drift import LoadPlan
from connectors.errors import ConnectorError, InvalidCredentials, Unsupported
from connectors.network import Endpoint
from connectors.result import Execution
from connectors.s3 import errors as s3_errors
from connectors.s3.bucket import Bucket
from connectors.s3.credentials import DOMAINS, GRANTS, S3Credentials
from connectors.s3.load import MODES, Loader
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

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECT_S = 5
ANSWER_S = 60
ATTEMPTS = 4


class S3(Connector, BulkLoad):
    """One bucket. Every call bounds itself."""

    provider = "s3"
    label = "Amazon S3"
    domains = DOMAINS
    credentials_model = S3Credentials
    grants = GRANTS
    capabilities: ClassVar = Capabilities(
        dialect="",
        folds_to="keep",
        cost_basis=Basis.UNKNOWN,
        limits_time=False,
        limits_bytes_scanned=False,
        read_only_session=False,
    )
    load_modes = MODES
    credentials: S3Credentials
    _bucket: Bucket

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form = self.credentials
        if form.use_machine_identity and f"{self.provider}:{form.bucket}" not in self.own_identity:
            # Otherwise a team could write whatever this service's own identity may.
            sentence = "This machine's identity is for buckets that its operator has listed."
            raise InvalidCredentials(sentence, fields={"use_machine_identity": sentence})
        return (Endpoint.of_url(form.url()),)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        self._bucket = Bucket(self._client(), self.credentials.bucket, self.credentials.prefix)
        self._bucket.look()

    def _client(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        form = self.credentials
        session = boto3.session.Session(
            aws_access_key_id=form.access_key_id,
            aws_secret_access_key=_plain(form.secret_access_key),
            aws_session_token=_plain(form.session_token),
            region_name=form.region,
        )
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            # The host that was judged has the bucket in its path, not in another name.
            s3={"addressing_style": "path"},
            # Other S3 servers than AWS's do not know the newer trailing checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", endpoint_url=form.url(), config=config)

    def _close(self) -> None:
        self._bucket.s3.close()

    def _usable(self) -> str:
        self._bucket.look()
        return self.credentials.target()

    def _try_reading(self) -> Finding:
        return Finding("Not tried: the bucket's files are for others to read.")

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        self._refuse()

    def _tables(self, wanted: TableFilter) -> list[Table]:
        self._refuse()

    def _estimate(self, sql: str, params: Params) -> Estimate:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Unsupported("A bucket is a destination of pipelines only: it runs no queries.")

    def _error(self, exc: Exception) -> ConnectorError | None:
        return s3_errors.error_for(exc, is_open=self._open)

    # BulkLoad

    @classmethod
    def stage_fault(cls, stage: str) -> str | None:
        return "Leave it empty: the files are sent to the bucket." if stage else None

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        with self._session():
            return Loader(self._bucket).load(manifest, target, files)

    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        with self._session():
            return Loader(self._bucket).plan(schema, target)

    def has_loaded(self, target: LoadTarget) -> bool:
        with self._session():
            return Loader(self._bucket).has_loaded(target)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


CONNECTOR = S3
