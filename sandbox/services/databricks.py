"""Databricks: Spark's Thrift Server on loopback, behind our bridge."""

import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

from sandbox.databricks.spark import Spark, workers
from sandbox.files import write_json
from sandbox.services.base import LOOPBACK, Process, Service

CATALOG = "sandbox"
SCHEMA = "sales"

_WAREHOUSE = "/sql/1.0/warehouses/5a4db0c5a4db0c00"
_PROBE_TIMEOUT_S = 0.5
_TABLES = {
    "customers": """
        SELECT CAST(id AS INT) AS customer_id,
               CONCAT('Customer ', id) AS name,
               ELT(CAST(id % 4 AS INT) + 1, 'north', 'east', 'south', 'west') AS region,
               DATE_ADD(DATE '2025-01-01', CAST(id * 7 % 365 AS INT)) AS since
        FROM RANGE(1, 101, 1, 1)""",
    "orders": """
        SELECT id AS order_id,
               CAST(id * 31 % 100 + 1 AS INT) AS customer_id,
               CAST(id * 37 % 5000 / 100 AS DECIMAL(10, 2)) AS amount,
               TIMESTAMP '2026-01-01 00:00:00' + MAKE_DT_INTERVAL(0, CAST(id AS INT)) AS placed_at,
               id % 7 <> 0 AS paid
        FROM RANGE(1, 2001, 1, 1)""",
}


class Databricks(Service):
    """One SQL warehouse with one catalog; what it holds survives a restart.

    `token` is a personal access token, `oauth` a service principal that gets tokens for its
    secret at `/oidc/v1/token`.
    """

    name: ClassVar[str] = "databricks"

    def plan(self) -> dict[str, Any]:
        """Keep ports and secrets from run to run."""
        self._port = self.kept_port()
        ui_port = self.kept_port("ui_port")
        self._spark = Spark(self.home, self.kept_port("spark_port"), workers(), ui_port)
        return {
            "host": LOOPBACK,
            "port": self._port,
            "protocol": "http",
            "http_path": _WAREHOUSE,
            "token": self.kept_secret("token"),
            "oauth": {
                "client_id": self.kept_secret("client_id"),
                "client_secret": self.kept_secret("client_secret"),
            },
            "catalog": CATALOG,
            "schema": SCHEMA,
            "spark_api": f"http://{LOOPBACK}:{ui_port}/api/v1" if self._spark.workers else None,
        }

    def prepare(self) -> None:
        """Write the settings of both processes; raises NoSpark."""
        self._spark.prepare()
        endpoint = self.endpoints[self.name]
        settings = {
            "port": self._port,
            "spark_port": self._spark.port,
            "http_path": endpoint["http_path"],
            "catalog": endpoint["catalog"],
            "token": endpoint["token"],
            **endpoint["oauth"],
        }
        write_json(self._settings, settings)

    def processes(self, *java_options: str) -> list[Process]:
        """Return the bridge and Spark."""
        bridge = [sys.executable, "-m", "sandbox.databricks", str(self._settings)]
        spark = self._spark
        return [Process(bridge), Process(spark.command(*java_options), env=spark.environment())]

    def ready(self) -> bool:
        """Ask the bridge for its health, which is Spark's."""
        try:
            url = f"http://{LOOPBACK}:{self._port}/healthz"
            with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:
                healthy: bool = answer.status == 200
        except (URLError, OSError):
            return False
        return healthy

    def seed(self) -> None:
        """Make the schema and its tables, the same rows every time."""
        client = client_for(self.endpoints[self.name], schema=None)
        with client, client.cursor() as cursor:
            cursor.tables(schema_name=SCHEMA)
            missing = set(_TABLES) - {row.TABLE_NAME for row in cursor.fetchall()}
            if missing:
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                # A run that was killed may have left files where a table is to be.
                cursor.execute("SET spark.sql.legacy.allowNonEmptyLocationInCTAS = true")
            for name in sorted(missing):
                cursor.execute(f"CREATE TABLE {SCHEMA}.{name} USING PARQUET AS {_TABLES[name]}")

    @property
    def _settings(self) -> Path:
        return self.home / "settings.json"


def client_for(endpoint: Mapping[str, Any], **options: Any) -> Any:
    """Return a connection of the vendor's own client, signed in with the access token.

    `options` are the client's; a schema of None is that of the server.
    """
    from databricks import sql

    uri = f"http://{endpoint['host']}:{endpoint['port']}{endpoint['http_path']}"
    return sql.connect(
        endpoint["host"],
        endpoint["http_path"],
        access_token=endpoint["token"],
        _connection_uri=uri,
        # Otherwise every connect waits for a control plane that is not there.
        enable_telemetry=False,
        **{"catalog": endpoint["catalog"], "schema": SCHEMA, **options},
    )
