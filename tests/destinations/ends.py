"""Each destination as the tests see it."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import boto3
import psycopg
import pyarrow.parquet as pq

from connectors.types import LoadMode, LoadTarget
from sandbox.services.bigquery import client_for
from service.main_job.story import make_stage
from tests.destinations.end import End, Row, Statements
from warehouse.store import client, names
from warehouse.store.load.loader import StoreLoad


class Redshift(End):
    provider = "redshift"

    def form(self) -> dict[str, Any]:
        found = self.endpoints["redshift"]
        place = {name: found[name] for name in ("host", "port", "database")}
        return place | {"user": found["owner"], "password": found["owner_password"]}

    def stage(self) -> str:
        return str(self.endpoints["redshift"]["copy_role"])

    def make(self) -> None:
        dsn = self.endpoints["redshift"]["owner_dsn"]
        self._looking = psycopg.connect(dsn, autocommit=True)
        self.execute(f"CREATE SCHEMA {self.schema}")

    def drop(self) -> None:
        self.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self._looking.close()

    def execute(self, sql: str) -> list[Row]:
        found = self._looking.execute(sql)
        return found.fetchall() if found.description else []

    def rows(self, columns: str = "*") -> list[Row]:
        return self._found(f"SELECT {columns} FROM {self.schema}.orders ORDER BY 1")

    def ledger(self) -> list[Row]:
        return self._found(
            f"SELECT load_id, fence, rows_loaded, files FROM {self.schema}.warehouse_loads "
            "ORDER BY loaded_at, fence"
        )

    def _found(self, sql: str) -> list[Row]:
        try:
            return self.execute(sql)
        except psycopg.errors.UndefinedTable:
            return []

    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        return Statements(worker, after, fault).happened


class Snowflake(End):
    provider = "snowflake"
    has_grants = False
    has_snapshots = False

    def form(self) -> dict[str, Any]:
        names = "account user password warehouse database host port protocol".split()
        found = self.endpoints["snowflake"]
        return {**{name: found[name] for name in names}, "schema": found["schema"]}

    def stage(self) -> str:
        return self._stage

    def make(self) -> None:
        import snowflake.connector

        self._looking = snowflake.connector.connect(**self.form()).cursor()
        self.schema = self.schema.upper()
        self._looking.execute(f"CREATE SCHEMA {self.schema}")
        there = self.endpoints["snowflake"] | {"schema": self.schema}
        self._stage = make_stage(self.endpoints | {"snowflake": there}, self.root)

    def drop(self) -> None:
        self._looking.execute(f"DROP SCHEMA {self.schema}")
        self._looking.connection.close()

    def execute(self, sql: str) -> list[Row]:
        return list(self._looking.execute(sql).fetchall())

    def target(self, **changes: Any) -> LoadTarget:
        return super().target(**{"table": "ORDERS", **changes})

    def rows(self, columns: str = "*") -> list[Row]:
        found = self._found(f"SELECT {columns} FROM {self.schema}.ORDERS ORDER BY 1")
        return [tuple(map(_parsed, row)) for row in found]

    def ledger(self) -> list[Row]:
        return self._found(
            f"SELECT LOAD_ID, FENCE, ROWS_LOADED, FILES FROM {self.schema}.WAREHOUSE_LOADS "
            "ORDER BY LOADED_AT, FENCE"
        )

    def _found(self, sql: str) -> list[Row]:
        from snowflake.connector.errors import ProgrammingError

        try:
            return self.execute(sql)
        except ProgrammingError as exc:
            if exc.errno != 2003:
                raise
            return []

    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        return Statements(worker, after, fault).happened


class S3(End):
    provider = "s3"
    modes = frozenset({LoadMode.APPEND, LoadMode.SWAP})
    holds_any_json = True
    WRITES = "PutObject UploadPart CompleteMultipartUpload DeleteObject".split()

    def form(self) -> dict[str, Any]:
        found = self.endpoints["s3"]
        return {
            "bucket": found["bucket"],
            "prefix": "tests/lake",
            "region": found["region"],
            "endpoint": found["endpoint"],
            "access_key_id": found["access_key"],
            "secret_access_key": found["secret_key"],
        }

    def stage(self) -> str:
        return ""

    def make(self) -> None:
        found = self.endpoints["s3"]
        resource: Any = boto3.resource(
            "s3",
            endpoint_url=found["endpoint"],
            region_name=found["region"],
            aws_access_key_id=found["access_key"],
            aws_secret_access_key=found["secret_key"],
        )
        self.bucket = resource.Bucket(found["bucket"])

    def drop(self) -> None:
        self.bucket.objects.filter(Prefix=f"tests/lake/{self.schema}/").delete()

    def keys(self, folder: str = "") -> list[str]:
        root = f"tests/lake/{self.schema}/orders/{folder}"
        return [found.key for found in self.bucket.objects.filter(Prefix=root)]

    def read(self, key: str) -> bytes:
        body: bytes = self.bucket.Object(key).get()["Body"].read()
        return body

    def newest(self) -> dict[str, Any]:
        """The snapshot that a reader follows."""
        found = sorted(key for key in self.keys("_snapshots/") if key[-17:-5].isdigit())
        return json.loads(self.read(found[-1])) if found else {"files": [], "loads": []}

    def rows(self, columns: str = "*") -> list[Row]:
        now, rows = self.newest(), list[Row]()
        for file in now["files"]:
            table = pq.read_table(io.BytesIO(self.read(self.keys(file["key"])[0])))
            assert table.num_rows == file["rows"]
            for found in table.to_pylist():
                rows.append(tuple(_parsed(found.get(name)) for name in now["columns"]))
        return sorted(rows, key=lambda row: row[0])

    def ledger(self) -> list[Row]:
        return [tuple(load.values()) for load in self.newest()["loads"]]

    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        worker.has_loaded(self.target())
        done = []

        def fail(model: Any, **_: Any) -> None:
            if model.name in self.WRITES:
                done.append(model.name)
            if len(done) > after:
                raise fault

        worker._bucket.s3.meta.events.register("after-call.s3", fail)
        return lambda: len(done) > after


class BigQuery(End):
    provider = "bigquery"
    has_grants = False
    has_snapshots = False
    has_datasets = True

    def form(self) -> dict[str, Any]:
        found = self.endpoints["bigquery"]
        names = ("project", "api_endpoint", "storage_endpoint")
        key = {"service_account_json": found["admin_service_account"]}
        return key | {name: found[name] for name in names}

    def stage(self) -> str:
        return ""

    def make(self) -> None:
        self._looking = client_for(self.endpoints["bigquery"], "admin_service_account")
        self.execute(f"CREATE SCHEMA {self.schema}")

    def drop(self) -> None:
        self.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self._looking.close()

    def execute(self, sql: str) -> list[Row]:
        once = {"retry": None, "timeout": 30}
        job = self._looking.query(sql, job_retry=None, **once)
        return [row.values() for row in job.result(**once)]

    def rows(self, columns: str = "*") -> list[Row]:
        return self._found(f"SELECT {columns} FROM {self.schema}.orders ORDER BY 1")

    def ledger(self) -> list[Row]:
        return self._found(
            f"SELECT LOAD_ID, FENCE, ROWS_LOADED, FILES FROM {self.schema}.WAREHOUSE_LOADS "
            "ORDER BY LOADED_AT, FENCE"
        )

    def _found(self, sql: str) -> list[Row]:
        from google.api_core.exceptions import NotFound

        try:
            return self.execute(sql)
        except NotFound:
            return []

    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        worker.has_loaded(self.target())
        client, done = worker._client, []

        def failing(call: Any) -> Any:
            def made(what: Any, *rest: Any, **named: Any) -> Any:
                if len(done) > after:
                    raise fault
                answer = call(what, *rest, **named)
                if not str(what).startswith("SELECT"):
                    done.append(what)
                if len(done) > after:
                    raise fault
                return answer

            return made

        client.query = failing(client.query)
        client.load_table_from_file = failing(client.load_table_from_file)
        return lambda: len(done) > after


class Store(End):
    """A team's database, in an engine that these tests have started."""

    provider = "store"

    def form(self) -> dict[str, Any]:
        return {}

    def stage(self) -> str:
        return ""

    def target(self, **changes: Any) -> LoadTarget:
        return super().target(**{"schema": "", **changes})

    def connect(self) -> Any:
        return StoreLoad(self.schema)

    def make(self) -> None:
        client.create_database(self.schema)

    def drop(self) -> None:
        client.drop_database(self.schema)

    def execute(self, sql: str) -> list[Row]:
        session = replace(client.owner(), database=names.database(self.schema))
        return [tuple(row.values()) for row in session.query(sql).read_all().to_pylist()]

    def rows(self, columns: str = "*") -> list[Row]:
        if not self.connect().has_loaded(self.target()):
            return []
        found = self.execute(f"SELECT {columns} FROM orders ORDER BY 1")
        return [tuple(map(_parsed, row)) for row in found]

    def ledger(self) -> list[Row]:
        return [tuple(vars(load).values()) for load in self.connect().version(self.target()).loads]

    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        hand, done = worker._hand, []

        def failing(call: Any) -> Any:
            def made(*given: Any) -> Any:
                if len(done) > after:
                    raise fault
                answer = call(*given)
                done.append(call)
                if len(done) > after:
                    raise fault
                return answer

            return made

        hand.run, hand.send = failing(hand.run), failing(hand.send)
        return lambda: len(done) > after


def _parsed(value: Any) -> Any:
    """A VARIANT comes as text, and NUMBER as int."""
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value


ENDS: Sequence[type[End]] = (Redshift, Snowflake, S3, BigQuery, Store)
