"""Engines that run HogQL in tests: the stand-ins by our connectors, and ClickHouse embedded."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from connectors.base import Connector
from connectors.types import Limits
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.printing.dialects import CLICKHOUSE_SETTINGS
from warehouse.hogql.translate import translate

Row = tuple[Any, ...]
Run = Callable[..., list[Row]]
# chdb takes a process for itself: it does not survive a fork, and ends the process it is asked to.
CHDB = """
import json, sys
from chdb.session import Session
session = Session()
for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = session.query(asked["sql"], "Arrow").bytes()
        sys.stdout.write(json.dumps({"arrow": answer.hex()}) + "\\n")
    except Exception as exc:
        sys.stdout.write(json.dumps({"error": str(exc)}) + "\\n")
    sys.stdout.flush()
"""


def of_connector(connector: Connector, catalog: Catalog) -> Run:
    """Runs HogQL in a warehouse."""

    def run(text: str, values: Mapping[str, object] | None = None) -> list[Row]:
        printed = translate(text, catalog, connector.capabilities.dialect, values)
        with connector.query(printed.sql, printed.params, Limits(60)) as result:
            return rows_of(result.read_all())

    return run


def rows_of(table: pa.Table) -> list[Row]:
    """Its rows as Python's values."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


class ClickHouse:
    """chdb in a process of its own; to be closed."""

    dialect = "clickhouse"

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHDB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, text: str, catalog: Catalog) -> list[Row]:
        sql = translate(text, catalog, self.dialect).sql
        settings = ", ".join(f"{name} = {value}" for name, value in CLICKHOUSE_SETTINGS.items())
        with pa.ipc.open_file(self.ask(f"{sql} SETTINGS {settings}")) as reader:
            return [tuple(map(_text, row)) for row in rows_of(reader.read_all())]

    def ask(self, sql: str) -> bytes:
        """What a statement gives, as Arrow."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"sql": sql}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, (answer, sql)
        return bytes.fromhex(answer["arrow"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _text(value: object) -> object:
    """ClickHouse's strings are bytes."""
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value
