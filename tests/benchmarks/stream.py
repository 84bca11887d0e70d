"""One contender of ``connectors``: streams a table once, through ``query()`` or the bare client.

``python -m tests.benchmarks.stream ours|floor PROVIDER TABLE``, with the sandbox's home in
SANDBOX_HOME. The clock starts when a session is open and has answered, so that the time is that
of the stream; memory is the whole process'.
"""

import os
import sys
from functools import partial
from pathlib import Path

from connectors import Limits, NetworkPolicy, connect
from sandbox.files import read_json
from tests import vendors
from tests.benchmarks import floors
from tests.benchmarks.contender import run_contender
from tests.vendors import Form

LOCAL = NetworkPolicy.allowing(["127.0.0.0/8"])
WARM_UP = "SELECT 1 AS one"


def ours(provider: str, form: Form, sql: str) -> None:
    with connect(provider, form, network=LOCAL) as connector:

        def work(query: str = sql) -> tuple[int, int]:
            rows = size = 0
            with connector.query(query, limits=Limits(timeout_s=600)) as result:
                for batch in result:
                    rows += batch.num_rows
                    size += batch.nbytes
            return rows, size

        work(WARM_UP)
        run_contender(work)


def floor(provider: str, form: Form, sql: str) -> None:
    read = floors.reader(provider, form)
    with floors.OPEN[provider](form) as client:
        read(client, WARM_UP)
        run_contender(partial(read, client, sql))


def main(who: str, provider: str, table: str) -> None:
    endpoints = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")
    form = vendors.sandbox_forms(endpoints)[provider]
    {"ours": ours, "floor": floor}[who](provider, form, f"SELECT * FROM {table}")


if __name__ == "__main__":
    main(*sys.argv[1:])
