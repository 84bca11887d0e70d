"""Values of the declared types, all the way: in Snowflake they are what Postgres says they are."""

import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from etl import pipelines, quarantine, runner
from etl.models import Pipeline, PipelineRun, RunStatus
from tests.connectors.postgres_values import VALUES
from tests.connectors.test_postgres_types_outcomes import NOT_CARRIED, as_written
from tests.etl.compare import Vault

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
MB = 2**20
KINDS = [
    ["boolean", "smallint", "bigint", "numeric(12,2)", "real", "time"],
    ["numeric(38,0)", "numeric(38,38)", "numeric", "float8", "int[]"],
    ["text", "bytea", "date", "timestamp", "timestamptz", "interval"],
    ["json", "jsonb", "uuid"],
]
FLOATS = frozenset({"real", "float8"})
JSON = frozenset({"json", "jsonb"})
ROWS = 8


def comparable(kind: str, value: Any) -> Any:
    """Of JSON the value, and of a double its bits; of all others the text."""
    if value is None:
        return None
    if isinstance(value, bytearray):
        value = bytes(value)
    if kind in JSON:
        return json.loads(value, parse_int=Decimal, parse_float=Decimal)
    if kind in FLOATS:
        return struct.pack("f" if kind == "real" else "d", float(value))
    return as_written(value)


@pytest.mark.parametrize("kinds", KINDS, ids=", ".join)
@settings(
    deadline=None,
    max_examples=2,
    phases=[Phase.generate],  # A run takes a second: too long to look for the smallest fault.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_values_arrive_or_are_in_quarantine(
    vault: Vault,
    pipeline: Pipeline,
    start: Start,
    lake: Any,
    target_table: str,
    kinds: list[str],
    data: st.DataObject,
) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
    places = ", ".join(f"%s::{kind}" for kind in kinds)
    rows = [[data.draw(st.none() | VALUES[kind]) for kind in kinds] for _ in range(ROWS)]
    vault.execute("SET timezone TO 'UTC'")
    vault.execute(
        f"DROP TABLE IF EXISTS records; CREATE TABLE records (id int PRIMARY KEY, {columns})"
    )
    with vault.cursor() as cursor:
        numbered = [[number, *row] for number, row in enumerate(rows)]
        cursor.executemany(f"INSERT INTO records VALUES (%s, {places})", numbered)
    lake.cursor().execute(f'DROP TABLE IF EXISTS "{target_table}"')
    pipelines.update(pipeline, {"quarantine_limit": ROWS * len(kinds)})
    run = runner.execute(start().pk)
    assert run is not None
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    taken = {(int(e.key["id"]), int(e.column[1:])): e.reason for e in quarantine.shown(run)}
    found = lake.cursor().execute(f'SELECT * FROM "{target_table}" ORDER BY ID').fetchall()
    for n, kind in enumerate(kinds):
        bad = NOT_CARRIED.get(kind, "false").replace("v", f"c{n}")
        written = vault.execute(
            f"SELECT CASE WHEN c{n} IS DISTINCT FROM NULL THEN concat(c{n}) END, "
            f"coalesce({bad}, false) FROM records ORDER BY id"
        ).fetchall()
        for number, (text, is_bad) in enumerate(written):
            in_target = comparable(kind, found[number][n + 1])
            if (number, n) in taken:
                assert in_target is None
                assert is_bad or taken[number, n] == "json_number"
            else:
                assert not is_bad
                assert in_target == comparable(kind, text), (kind, text)


def test_large_bytes_arrive_and_larger_ones_are_in_quarantine(
    vault: Vault, pipeline: Pipeline, start: Start, lake: Any, target_table: str
) -> None:
    vault.execute("CREATE TABLE records (id int PRIMARY KEY, raw bytea)")
    vault.execute(
        "INSERT INTO records SELECT id, convert_to(repeat('é', bytes / 2), 'UTF8') FROM (VALUES "
        "(1, 0), (2, %s::int), (3, %s::int), (4, %s::int)) AS v (id, bytes)",
        [50 * MB, 64 * MB, 64 * MB + 2],
    )
    pipelines.update(pipeline, {"quarantine_limit": 1})
    run = runner.execute(start().pk)
    assert run is not None
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    (entry,) = quarantine.shown(run)
    assert (entry.key, entry.column, entry.reason) == ({"id": "4"}, "raw", "too_long")
    assert entry.text.startswith("\\xc3a9c3a9")
    rows = lake.cursor().execute(f'SELECT ID, LENGTH(RAW) FROM "{target_table}" ORDER BY ID')
    assert rows.fetchall() == [(1, 0), (2, 50 * MB), (3, 64 * MB), (4, None)]


NAMES = ["Mixed Case", "select", 'two ""quotes""', "ünï", "semi;colon", "%s", "x" * 63]


def test_names_of_any_kind_and_columns_that_are_computed(
    vault: Vault, pipeline: Pipeline, start: Start, lake: Any, target_table: str
) -> None:
    columns = ", ".join(f'"{name}" int' for name in NAMES)
    vault.execute(
        f"CREATE TABLE records (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {columns}, "
        'stored int GENERATED ALWAYS AS ("select" * 2) STORED, '
        '"virtual" numeric(9,2) GENERATED ALWAYS AS ("select" / 2.0) VIRTUAL)'
    )
    values = ", ".join(map(str, range(len(NAMES))))
    names = ", ".join(f'"{name}"' for name in NAMES)
    vault.execute(f"INSERT INTO records ({names}) VALUES ({values})")
    run = runner.execute(start().pk)
    assert run is not None
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    there = lake.cursor().execute(f'SELECT * FROM "{target_table}"')
    kept = ["Mixed Case", "SELECT", 'two "quotes"', "ünï", "semi;colon", "%s", "X" * 63]
    assert [column.name for column in there.description] == ["ID", *kept, "STORED", "VIRTUAL"]
    assert there.fetchall() == [(1, *range(len(NAMES)), 2, Decimal("0.50"))]
