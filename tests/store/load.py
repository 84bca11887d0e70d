"""``python -m tests.store.load write|read NUMBER``: work in the store until a line comes in.

Prints ``started``, and at the end what was acknowledged and which errors came up. An error that
says ``retryable`` is followed by another try, any other ends this.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import django
import pyarrow as pa

django.setup()

from connectors.errors import ConnectorError  # noqa: E402
from tests.store.conftest import OURS  # noqa: E402
from warehouse.store import client, names  # noqa: E402

SCHEMA = pa.schema([("writer", pa.int64()), ("n", pa.int64())])
stopping = threading.Event()
errors: Counter[str] = Counter()


def patiently(call: Callable[[], object]) -> object:
    while True:
        try:
            return call()
        except ConnectorError as exc:
            if not exc.retryable:
                raise
            errors[exc.code] += 1
            time.sleep(0.1)


def write(number: int) -> dict[str, object]:
    acknowledged = 0
    while not stopping.is_set():
        batch = pa.record_batch([[number], [acknowledged]], schema=SCHEMA)
        patiently(
            lambda batch=batch: client.owner().insert(names.database(OURS), "log", SCHEMA, [batch])
        )
        acknowledged += 1
    return {"acknowledged": acknowledged, "errors": errors}


def read(_number: int) -> dict[str, object]:
    sql = f"SELECT count() AS n FROM {names.database(OURS)}.log"
    seen = read_count = 0
    while not stopping.is_set():
        table = patiently(lambda: client.owner().query(sql).read_all())
        assert isinstance(table, pa.Table)
        count = table.column("n")[0].as_py()
        assert count >= seen, "rows that had been read are gone"
        seen, read_count = count, read_count + 1
    return {"read": read_count, "errors": errors}


def main() -> None:
    what, number = sys.argv[1], int(sys.argv[2])
    print("started", flush=True)
    threading.Thread(target=lambda: (sys.stdin.readline(), stopping.set()), daemon=True).start()
    print(json.dumps({"write": write, "read": read}[what](number)))


if __name__ == "__main__":
    main()
