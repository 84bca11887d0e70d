"""Asking a connection; as a program, in a process of its own.

``python -m tests.hybrid.asking TEAM CONNECTION SQL`` waits for a line, asks, and prints rows,
whether they were kept, and seconds, or the code of the error.
"""

import json
import subprocess
import sys
import time
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from connectors.errors import ConnectorError
from warehouse import query_executor
from warehouse.models import WarehouseConnection
from warehouse.runs import Run
from warehouse.statements import Statement

NOW = "SELECT clock_timestamp()::text AS at"
"""Another answer each time the warehouse is asked."""
SLOW = NOW + ", pg_sleep(1.5)::text AS slept"
LARGE = "SELECT n, md5(n::text) AS word, clock_timestamp() AS at FROM generate_series(1, 9000) AS n"
"""Of several batches, and more than the service's database would keep."""


def ask(
    connection: WarehouseConnection, sql: str = NOW, *, params: Any = (), **more: Any
) -> tuple[list[dict[str, Any]], Run]:
    """All rows of a query, and the run, which is closed."""
    with query_executor.run(connection, Statement(sql, params), **more) as run:
        run.start()
        rows = [row for batch in run for row in batch.to_pylist()]
    return rows, run


def begin(connection: WarehouseConnection, sql: str, **env: str) -> "subprocess.Popen[str]":
    """A process of its own that asks once it is told to."""
    from tests.service.running import CHECKOUT, environment

    team, pk = str(connection.team_id), str(connection.pk)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hybrid.asking", team, pk, sql],
        cwd=CHECKOUT,
        env=environment(DJANGO_SETTINGS_MODULE="service.settings", LOG_LEVEL="ERROR", **env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _ = process.communicate(timeout=30)
    found: dict[str, Any] = json.loads(out)
    return found


def main(team: str, pk: str, sql: str) -> None:
    connection = WarehouseConnection.objects.for_team(team).get(pk=pk)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    try:
        rows, run = ask(connection, sql)
        told: dict[str, Any] = {"rows": rows, "cached": run.origin.cached}
    except ConnectorError as exc:
        told = {"code": exc.code}
    print(json.dumps(told | {"seconds": time.monotonic() - started}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
