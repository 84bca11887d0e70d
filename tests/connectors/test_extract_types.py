"""Values of a Postgres table on their way out: exact, or an error."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.abilities import Extract, ReadPlan
from connectors.errors import DataError
from tests.connectors.reading import read_table

Owner = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]


@pytest.fixture
def extract(
    opened: Callable[..., Connector], source: str
) -> Callable[[str], tuple[ReadPlan, Rows]]:
    """Extract a table of the test's schema; the extraction and its rows."""
    connector = opened("postgres")
    assert isinstance(connector, Extract)
    return lambda table: read_table(connector, source, table)


def test_values_of_a_table_arrive_exactly(owner: Owner, source: str, extract: Any) -> None:
    owner.execute(
        f"""CREATE TYPE {source}.mood AS ENUM ('sad', 'ok');
        CREATE DOMAIN {source}.positive AS int CHECK (VALUE > 0);
        CREATE TABLE {source}.types (
            id int PRIMARY KEY, price numeric(10,2), loose numeric, rough numeric(6,-2),
            doc jsonb, raw bytea, big bytea, many int[], key uuid, mood {source}.mood,
            at timestamptz, local timestamp, day date, count_ {source}.positive, nothing text)"""
    )
    big = bytes(range(256)) * 4096
    key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    document = '{"a": 12345678901234567890, "b": 1.10, "ü": "\\\\u0041"}'
    owner.execute(
        f"INSERT INTO {source}.types VALUES (1, 12.30, 1.2300, 1234, %s, '', %s, '{{1,NULL}}', %s, "
        "'ok', '2026-01-02 03:04:05.123456+02', '2026-01-02 03:04:05.000001', '0001-01-01', 7)",
        [document, big, key],
    )
    plan, rows = extract("types")
    stored = owner.execute(f"SELECT doc::text FROM {source}.types").fetchone()
    assert rows == [
        (
            1,
            Decimal("12.30"),
            "1.2300",
            "1200",
            stored and stored[0],
            b"",
            big,
            "{1,NULL}",
            key,
            "ok",
            datetime.datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=datetime.UTC),
            datetime.datetime.fromisoformat("2026-01-02T03:04:05.000001"),
            datetime.date(1, 1, 1),
            7,
            None,
        )
    ]
    assert "12345678901234567890" in rows[0][4]
    types = {field.name: field.type for field in plan.columns}
    assert types["price"] == pa.decimal128(10, 2)
    assert types["loose"] == types["rough"] == types["doc"] == types["many"] == pa.string()
    assert types["raw"] == pa.binary()
    assert types["at"] == pa.timestamp("us", tz="UTC")
    assert types["count_"] == pa.int32()
    assert plan.columns.field("doc").metadata == {b"native": b"jsonb"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("numeric(10,2)", "NaN"),
        ("date", "infinity"),
        ("date", "-infinity"),
        ("timestamptz", "infinity"),
        ("timestamp", "0044-03-15 BC"),
    ],
)
def test_value_that_cannot_be_carried_is_an_error_and_never_another_value(
    owner: Owner, source: str, extract: Any, kind: str, value: str
) -> None:
    owner.execute(f"CREATE TABLE {source}.odd (id int PRIMARY KEY, v {kind})")
    owner.execute(f"INSERT INTO {source}.odd VALUES (1, '{value}')")
    with pytest.raises(DataError):
        extract("odd")
    owner.execute(f"UPDATE {source}.odd SET v = NULL")
    assert extract("odd")[1] == [(1, None)]
