"""Every type of Postgres: its values arrive exactly, or not at all; both ways that rows come."""

import datetime
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, NetworkPolicy, connect
from connectors.errors import DataError
from tests.connectors.helpers import rows_of

PROVIDER = "postgres"

Owner = psycopg.Connection[Any]
UTC = datetime.UTC

# Rows of a query without parameters are copied, those of one with parameters fetched.
WAYS = [pytest.param((), id="copied"), pytest.param((True,), id="fetched")]


@pytest.fixture(scope="module")
def connector(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy
) -> Iterator[Connector]:
    """One session for all: none of these tests may spoil it."""
    with connect(PROVIDER, credentials[PROVIDER], network=loopback) as shared:
        yield shared


def column_of(connector: Connector, sql: str, params: tuple[Any, ...]) -> pa.ChunkedArray:
    """The value of an expression, and NULL of its type, as a result's column."""
    condition = "%s" if params else "true"
    text = f"SELECT * FROM (SELECT {sql} AS v UNION ALL SELECT NULL) AS q WHERE {condition}"
    return connector.query(text, params).read_all().column("v")


def far(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


EXACT = [
    ("true", pa.bool_(), True),
    ("(-32768)::smallint", pa.int16(), -(2**15)),
    ("32767::smallint", pa.int16(), 2**15 - 1),
    ("(-2147483648)::int", pa.int32(), -(2**31)),
    ("2147483647", pa.int32(), 2**31 - 1),
    ("(-9223372036854775808)::bigint", pa.int64(), -(2**63)),
    ("9223372036854775807", pa.int64(), 2**63 - 1),
    ("4294967295::oid", pa.int64(), 2**32 - 1),
    ("1.5::real", pa.float32(), 1.5),
    ("'3.4028235e38'::real", pa.float32(), 3.4028234663852886e38),
    ("'1e-45'::real", pa.float32(), 1.401298464324817e-45),
    ("0.1::float8", pa.float64(), 0.1),
    ("'1.7976931348623157e308'::float8", pa.float64(), 1.7976931348623157e308),
    ("'5e-324'::float8", pa.float64(), 5e-324),
    ("'infinity'::float8", pa.float64(), math.inf),
    ("'-infinity'::real", pa.float32(), -math.inf),
    ("12.30::numeric(6,2)", pa.decimal128(6, 2), Decimal("12.30")),
    ("'-9999.99'::numeric(6,2)", pa.decimal128(6, 2), Decimal("-9999.99")),
    ("'-0.001'::numeric(38,37)", pa.decimal128(38, 37), Decimal("-0.001")),
    ("'-0.001'::numeric(38,38)", pa.string(), "-0.00100000000000000000000000000000000000"),
    (f"{'9' * 38}::numeric(38,0)", pa.decimal128(38, 0), Decimal("9" * 38)),
    ("12.300::numeric", pa.string(), "12.300"),
    ("'NaN'::numeric", pa.string(), "NaN"),
    ("'-Infinity'::numeric", pa.string(), "-Infinity"),
    (f"{'9' * 39}::numeric(39,0)", pa.string(), "9" * 39),
    ("0.00012::numeric(3,5)", pa.string(), "0.00012"),
    ("'x'::text", pa.string(), "x"),
    ("''::text", pa.string(), ""),
    ("'a\nb\tc\\d\"é🙂'::text", pa.string(), 'a\nb\tc\\d"é🙂'),
    ("'x'::char(3)", pa.string(), "x  "),
    ("'x'::varchar(3)", pa.string(), "x"),
    ("'x'::name", pa.string(), "x"),
    ("'x'::\"char\"", pa.string(), "x"),
    ("'\\x00ff'::bytea", pa.binary(), b"\x00\xff"),
    ("''::bytea", pa.binary(), b""),
    ("'0001-01-01'::date", pa.date32(), datetime.date.min),
    ("'9999-12-31'::date", pa.date32(), datetime.date.max),
    ("'24:00'::time", pa.string(), "24:00:00"),
    ("'04:05:06.789+05:30'::timetz", pa.string(), "04:05:06.789+05:30"),
    (
        "'1 year 2 mons -3 days 04:05:06.000007'::interval",
        pa.string(),
        "1 year 2 mons -3 days +04:05:06.000007",
    ),
    ("'0001-01-01'::timestamp", pa.timestamp("us"), far("0001-01-01")),
    (
        "'9999-12-31 23:59:59.999999'::timestamp",
        pa.timestamp("us"),
        far("9999-12-31T23:59:59.999999"),
    ),
    (
        "'1969-12-31 23:59:59.999999'::timestamp",
        pa.timestamp("us"),
        far("1969-12-31T23:59:59.999999"),
    ),
    (
        "'2026-01-02 03:04:05.123456+02'::timestamptz",
        pa.timestamp("us", tz="UTC"),
        datetime.datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC),
    ),
    (
        "'9999-12-31 23:59:59.999999+00'::timestamptz",
        pa.timestamp("us", tz="UTC"),
        far("9999-12-31T23:59:59.999999+00:00"),
    ),
    (
        "'0001-01-01 00:00:00+00'::timestamptz",
        pa.timestamp("us", tz="UTC"),
        far("0001-01-01T00:00:00+00:00"),
    ),
    ("'{\"a\": 12345678901234567890}'::jsonb", pa.string(), '{"a": 12345678901234567890}'),
    ("'{\"a\":  1.10}'::json", pa.string(), '{"a":  1.10}'),
    ("ARRAY[1, NULL]", pa.string(), "{1,NULL}"),
    ("ARRAY[ARRAY['a b', '\"']]", pa.string(), '{{"a b","\\""}}'),
    ("'{}'::int[]", pa.string(), "{}"),
    (
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        pa.string(),
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("'10.0.0.0/8'::inet", pa.string(), "10.0.0.0/8"),
    ("'2001:db8::/32'::cidr", pa.string(), "2001:db8::/32"),
    ("'08:00:2b:01:02:03'::macaddr", pa.string(), "08:00:2b:01:02:03"),
    ("B'101'", pa.string(), "101"),
    ("'(1.5,-2)'::point", pa.string(), "(1.5,-2)"),
    ("int4range(1, 5)", pa.string(), "[1,5)"),
    ("'empty'::tstzrange", pa.string(), "empty"),
    ("'{[1,3),[5,7)}'::int4multirange", pa.string(), "{[1,3),[5,7)}"),
    ("ROW(1, 'a b', NULL)", pa.string(), '(1,"a b",)'),
    ("to_tsvector('simple', 'b a')", pa.string(), "'a':2 'b':1"),
    ("'16/B374D848'::pg_lsn", pa.string(), "16/B374D848"),
]


@pytest.mark.parametrize("params", WAYS)
@pytest.mark.parametrize(("sql", "kind", "value"), EXACT)
def test_value_arrives_exactly(
    connector: Connector, sql: str, kind: pa.DataType, value: Any, params: tuple[Any, ...]
) -> None:
    found = column_of(connector, sql, params)
    # A set operation forgets precision and scale.
    bare = f"SELECT {sql} AS v WHERE %s" if params else f"SELECT {sql} AS v"
    table = connector.query(bare, params).read_all()
    assert (table.schema.types, table.column(0).to_pylist()) == ([kind], [value])
    assert found.to_pylist()[1] is None


@pytest.mark.parametrize("params", WAYS)
@pytest.mark.parametrize("kind", ["real", "float8"])
def test_double_that_is_no_number_arrives(
    connector: Connector, kind: str, params: tuple[Any, ...]
) -> None:
    value, null = column_of(connector, f"'NaN'::{kind}", params).to_pylist()
    assert math.isnan(value)
    assert null is None


@pytest.mark.parametrize("params", WAYS)
@pytest.mark.parametrize(
    "sql",
    [
        "'NaN'::numeric(6,2)",
        "'infinity'::date",
        "'-infinity'::date",
        "'0044-03-15 BC'::date",
        "'10000-01-01'::date",
        "'infinity'::timestamp",
        "'294276-01-01'::timestamp",
        "'0044-03-15 BC'::timestamp",
        "'-infinity'::timestamptz",
        "'10000-01-01 00:00:00+00'::timestamptz",
    ],
)
def test_value_that_cannot_be_exact_is_an_error_that_names_its_column(
    connector: Connector, sql: str, params: tuple[Any, ...]
) -> None:
    condition = "%s" if params else "true"
    text = f"SELECT 1 AS fine, {sql} AS strange_one, 2 AS good WHERE {condition}"
    with pytest.raises(DataError) as caught:
        connector.query(text, params).read_all()
    assert "strange_one" in caught.value.detail
    assert caught.value.advice
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


@pytest.mark.parametrize("params", WAYS)
@pytest.mark.parametrize("sql", ["1 / 0", "'x'::text::int", "10::numeric(1,0)"])
def test_computation_that_cannot_be_done_is_an_error(
    connector: Connector, sql: str, params: tuple[Any, ...]
) -> None:
    condition = "%s" if params else "true"
    with pytest.raises(DataError):
        connector.query(f"SELECT {sql} AS v WHERE {condition}", params).read_all()
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


@pytest.mark.parametrize("params", WAYS)
def test_json_says_what_it_is(connector: Connector, params: tuple[Any, ...]) -> None:
    condition = "%s" if params else "true"
    text = f"SELECT '1'::json AS a, '1'::jsonb AS b, '1'::text AS c WHERE {condition}"
    with connector.query(text, params) as result:
        assert [field.metadata for field in result.schema] == [
            {b"native": b"json"},
            {b"native": b"jsonb"},
            None,
        ]


@pytest.mark.parametrize("params", WAYS)
def test_enum_is_text_and_a_domain_is_what_it_is_a_domain_of(
    connector: Connector, owner: Owner, source: str, params: tuple[Any, ...]
) -> None:
    owner.execute(f"CREATE TYPE {source}.mood AS ENUM ('sad', 'ok')")
    owner.execute(f"CREATE DOMAIN {source}.price AS numeric(8,2)")
    condition = "%s" if params else "true"
    text = f"SELECT 'ok'::{source}.mood AS a, 1::{source}.price AS b WHERE {condition}"
    table = connector.query(text, params).read_all()
    assert table.schema.types == [pa.string(), pa.decimal128(8, 2)]
    assert table.to_pylist() == [{"a": "ok", "b": Decimal("1.00")}]


@pytest.fixture
def without_encoding(endpoints: dict[str, Any]) -> Iterator[str]:
    """A database that takes any bytes for text."""
    name = "t_sql_ascii"
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
        yield name
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("params", WAYS)
def test_text_that_is_no_text_is_an_error(
    without_encoding: str, opened: Callable[..., Connector], params: tuple[Any, ...]
) -> None:
    connector = opened("postgres", database=without_encoding)
    condition = "%s" if params else "true"
    text = "convert_from('\\xff', 'SQL_ASCII')"
    with pytest.raises(DataError):
        connector.query(f"SELECT {text} AS v WHERE {condition}", params).read_all()
    assert rows_of(connector, "SELECT 'é' AS e") == [("é",)]
