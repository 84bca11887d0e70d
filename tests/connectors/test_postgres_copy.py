"""Rows by binary COPY: the same as by a cursor for every type, and no way out of the brackets."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql as pgsql

from connectors import Connector
from connectors.errors import DataError
from connectors.postgres import compiled, text_rows, wire
from connectors.postgres.copy import CopyExecution
from tests.connectors.copied import Session, assert_same, by_cursor, copy

PROVIDER = "postgres"


# Every type, as a cursor brings it

SAMPLES = {
    "bool": ["t", "f"],
    "int2": ["-32768", "32767"],
    "int4": ["-2147483648", "0", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "float4": ["NaN", "Infinity", "-Infinity", "-0", "1.1", "1e-45", "3.4028235e38"],
    "float8": ["NaN", "Infinity", "-Infinity", "-0", "0.1", "5e-324", "1.7976931348623157e308"],
    "numeric": ["NaN", "Infinity", "-Infinity", "1.2300", "-1e-20", "1e40", "0.000"],
    "numeric(5,2)": ["0", "-0.01", "999.99", "-999.99", "10"],
    "numeric(15,2)": ["0", "123456.78", "9999999999999.99", "-0.10", "10000", "0.01"],
    "numeric(18,18)": ["0.000000000000000001", "-0.999999999999999999"],
    "numeric(38,0)": ["99999999999999999999999999999999999999", "-1", "10000000000000000"],
    "numeric(38,38)": ["-0.00000000000000000000000000000000000001"],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789", "1e-10"],
    "numeric(39,0)": ["999999999999999999999999999999999999999"],
    "numeric(6,-2)": ["123456", "99999900"],
    "numeric(2,5)": ["0.00012"],
    "text": ["", "é🙂", "a\nb\t\\", "NULL", "x" * 3000],
    "varchar(3)": ["", "abc"],
    "char(5)": ["", "ab ", "abcde"],
    "name": ["pg_class"],
    '"char"': ["", "a", "\\351"],
    "bytea": ["", "\\x00ff", "\\x" + "ab" * 3000],
    "date": ["0001-01-01", "1969-12-31", "2000-01-01", "9999-12-31"],
    "timestamp": ["0001-01-01", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"],
    "timestamptz": ["0001-01-01 00:00Z", "2026-01-02 03:04:05.6+02", "9999-12-31 23:59:59Z"],
    "time": ["00:00", "24:00", "12:34:56.789012"],
    "timetz": ["24:00+15:59", "00:00:00.000001-08"],
    "interval": ["1 mon 2 days -03:04:05.000006", "-178000000 years", "0"],
    "money": ["-12.34", "92233720368547758.07"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    "json": ['{"a":  1.10, "a": 2}', "null", "12345678901234567890"],
    "jsonb": ['{"b": [1.10, null], "a": "\\u00e9"}', "null", '""', "12345678901234567890.5"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "::1"],
    "cidr": ["10.0.0.0/8", "10.0.0.1/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101"],
    "varbit": ["", "1"],
    "point": ["(1.5,-0)"],
    "tsvector": ["a:1 b"],
    "int4[]": ["{}", "{1,NULL}", "{{1,2},{3,4}}", "[2:3]={1,2}"],
    "text[]": ['{"a b","NULL",NULL,"\\"",""}'],
    "int4range": ["empty", "[1,5)", "(,)"],
    "int4multirange": ["{}", "{[1,3),[5,)}"],
    "regclass": ["pg_class", "0"],
    "pg_lsn": ["16/B374D848"],
    "xid8": ["18446744073709551615"],
    "tid": ["(0,1)"],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_type_arrives_as_by_a_cursor(session: Session, kind: str) -> None:
    values = ", ".join(f"({pgsql.quote(value)}::{kind})" for value in SAMPLES[kind])
    both = assert_same(session, f"SELECT v FROM (VALUES {values}, (NULL)) AS t(v)")
    assert both.num_rows == len(SAMPLES[kind]) + 1
    assert both.column(0).null_count == 1


def test_every_type_of_the_catalog_has_an_outcome(session: Session) -> None:
    kinds = session.execute(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype <> 'p' ORDER BY oid LIMIT 1600"
    ).fetchall()
    session.rollback()
    nothing = ", ".join(f"NULL::{kind}" for (kind,) in kinds)
    assert len(kinds) > 400
    assert_same(session, f"SELECT {nothing}")


def test_types_of_ones_own_arrive_as_by_a_cursor(
    session: Session, owner: Session, source: str
) -> None:
    owner.execute(
        f"""CREATE TYPE {source}.mood AS ENUM ('sad', 'so so');
        CREATE TYPE {source}.pair AS (a int, b text);
        CREATE DOMAIN {source}.positive AS int CHECK (VALUE > 0);
        CREATE DOMAIN {source}.code AS char(4);
        CREATE DOMAIN {source}.price AS numeric(6,2);
        CREATE TYPE {source}.span AS RANGE (subtype = float8)"""
    )
    assert_same(
        session,
        f"""SELECT m::{source}.mood, ARRAY[m::{source}.mood] AS moods, p::{source}.pair,
            n::{source}.positive, c::{source}.code, d::{source}.price, s::{source}.span
            FROM (VALUES ('sad', '(1,"a b")', 7, 'ab', 1.5, '[1.5,2)'),
                ('so so', '(,)', 8, '', NULL, 'empty'),
                (NULL, NULL, NULL, NULL, 2, NULL)) AS t(m, p, n, c, d, s)""",
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ROW(1, 'a') AS r, ROW(NULL) AS n, NULL::record AS nothing",
        "SELECT pg_sleep(0)",
        "SELECT NULL AS a, 'x' AS b",
        "SELECT version()::cstring AS c",
        "SELECT most_common_vals FROM pg_stats ORDER BY tablename, attname",
        "SELECT * FROM pg_class ORDER BY oid",
        "SELECT * FROM pg_type ORDER BY oid",
        "SELECT * FROM pg_settings ORDER BY name LIMIT 20",
        "SELECT 1 AS n WHERE false",
        "SELECT '1'::interval WHERE false",
    ],
)
def test_query_arrives_as_by_a_cursor(session: Session, sql: str) -> None:
    assert_same(session, sql)


MANY = """
    SELECT n, n % 7 = 0 AS odd, (n / 100.0)::numeric(15,2) AS price, repeat('é', n % 50) AS text,
        NULLIF(n % 3, 0)::bigint AS some, ROW(n, 'a') AS pair,
        '2026-01-01Z'::timestamptz - n * '1 s'::interval AS at,
        repeat('x', CASE n WHEN 20000 THEN 5000000 ELSE n % 9 END)::bytea AS bytes
    FROM generate_series(1, 40000) AS n
"""
"""Rows of several pieces, one of which is larger than a piece."""


def test_rows_are_the_same_without_a_compiler(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled.usable()
    by_loops = copy(session, MANY)
    monkeypatch.setattr(compiled, "usable", lambda: False)
    by_numpy = copy(session, MANY)
    assert by_loops.num_rows == 40_000
    assert by_loops.equals(by_numpy)


def test_copy_that_is_given_up_leaves_the_session_usable(session: Session) -> None:
    execution = CopyExecution(session, MANY, 60, "test")
    execution.start()
    pieces = execution.pieces()
    next(pieces)
    pieces.close()
    execution.close()
    assert copy(session, "SELECT 1 AS one").to_pydict() == {"one": [1]}


TEXTS = {
    "int8": st.integers(-(2**63), 2**63 - 1).map(str),
    "float8": st.floats().map(repr),
    "float4": st.floats(width=32).map(repr),
    "numeric": st.decimals(allow_nan=False).map(str) | st.just("NaN"),
    "numeric(15,2)": st.decimals(-(10**12), 10**12, places=2).map(str),
    "numeric(30,7)": st.integers(-(10**29), 10**29).map(lambda n: f"{n}e-7"),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bytea": st.binary().map(lambda value: f"\\x{value.hex()}"),
    "date": st.dates().map(str),
    "timestamp": st.datetimes().map(str),
    "timestamptz": st.datetimes().map(lambda at: f"{at}Z"),
    "time": st.times().map(str),
    "interval": st.timedeltas().map(lambda t: f"{t.days} d {t.seconds} s {t.microseconds} us"),
    "uuid": st.uuids().map(str),
    "bool": st.booleans().map(str),
    "int4[]": st.lists(st.none() | st.integers(-9, 9)).map(
        lambda many: "{" + ",".join("NULL" if one is None else str(one) for one in many) + "}"
    ),
}  # fmt: skip


def test_rows_of_any_values_arrive_as_by_a_cursor(session: Session) -> None:
    row = st.tuples(*(st.none() | values for values in TEXTS.values()))
    casts = ", ".join(f"c{n}::{kind}" for n, kind in enumerate(TEXTS))
    names = ", ".join(f"c{n}" for n in range(len(TEXTS)))

    @settings(deadline=None, max_examples=60)
    @given(rows=st.lists(row, min_size=1, max_size=8))
    def check(rows: list[tuple[str | None, ...]]) -> None:
        literals = [[pgsql.Literal(v).as_string(session) + "::text" for v in r] for r in rows]
        values = ", ".join(f"({', '.join(row)})" for row in literals)
        assert_same(session, f"SELECT {casts} FROM (VALUES {values}) AS t({names})")

    check()


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        (
            """SELECT '1'::money AS "Mixed Case", 2 AS "select", 3 AS "a""b", 4 AS ")" """,
            ["Mixed Case", "select", 'a"b', ")"],
        ),
        ("SELECT 1 AS a, '1'::interval AS a, 2 AS \"A\"", ["a", "a", "A"]),
        ("SELECT 1, '10.0.0.1'::inet, 2", ["?column?", "inet", "?column?"]),
        ("SELECT '1'::money AS c1, '2'::money AS c0, 3 AS q", ["c1", "c0", "q"]),
        ("VALUES (1, '1'::interval)", ["column1", "column2"]),
    ],
)
def test_columns_keep_their_names_and_places(session: Session, sql: str, names: list[str]) -> None:
    assert assert_same(session, sql).column_names == names


def test_rows_keep_the_order_of_the_query(session: Session) -> None:
    sql = "SELECT g, (g || ' s')::interval AS i FROM generate_series(1, 5000) g ORDER BY g % 7, g"
    assert_same(session, sql)


def test_expression_is_computed_once(session: Session, owner: Session, source: str) -> None:
    owner.execute(
        f"CREATE FUNCTION {source}.slow(g int) RETURNS interval STABLE LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_sleep(0.05); RETURN (g || ' s')::interval; END$$"
    )
    began = time.monotonic()
    copy(session, f"SELECT {source}.slow(g) FROM generate_series(1, 10) g")
    assert time.monotonic() - began < 0.05 * 10 * 2


# What cannot be carried


@pytest.mark.parametrize(
    "value",
    [
        "'NaN'::numeric(6,2)",
        "'infinity'::date",
        "'0001-12-31 BC'::date",
        "'10000-01-01'::date",
        "'-infinity'::timestamp",
        "'10000-01-01'::timestamp",
        "'infinity'::timestamptz",
        "'0001-01-01 00:00+01'::timestamptz",
    ],
)
def test_value_that_cannot_be_exact_is_the_same_error_either_way(
    session: Session, value: str
) -> None:
    raised = []
    for way in (copy, by_cursor):
        with pytest.raises(DataError, match="column odd has") as caught:
            way(session, f"SELECT 1 AS fine, {value} AS odd")
        raised.append((caught.value.detail, caught.value.advice, caught.value.fields))
    assert raised[0] == raised[1]


@pytest.fixture
def ascii_session(endpoints: dict[str, Any]) -> Iterator[Session]:
    """A database that takes bytes for text, whatever they are."""
    dsn = endpoints["postgres"]["superuser_dsn"]
    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS copied_ascii")
        server.execute(
            "CREATE DATABASE copied_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 "
            "LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        with psycopg.connect(dsn, dbname="copied_ascii", client_encoding="utf8") as found:
            yield found
        server.execute("DROP DATABASE copied_ascii")


def test_text_that_is_not_utf8_is_the_same_error_either_way(ascii_session: Session) -> None:
    text_rows.read_everything_else_as_text(ascii_session)
    for way in (copy, by_cursor):
        with pytest.raises(psycopg.Error) as caught:
            way(ascii_session, "SELECT 'fine' AS fine, E'caf\\xe9' AS odd")
        assert type(wire.error_for(caught.value)) is DataError
    assert copy(ascii_session, "SELECT 'café' AS v").to_pylist() == [{"v": "café"}]


def test_rows_come_over_tls_as_well(
    opened: Callable[..., Connector], endpoints: dict[str, Any]
) -> None:
    """There, libpq may hold rows that no poll of the socket shows."""
    place = {name: endpoints["postgres"]["tls"][name] for name in ("host", "port")}
    sql = "SELECT g, repeat('x', g % 5000) AS word FROM generate_series(1, 40000) AS g"
    table = opened("postgres", **place, sslmode="require").query(sql).read_all()
    assert table.column("g").to_pylist() == list(range(1, 40001))
    assert pc.binary_length(table.column("word")).to_pylist() == [g % 5000 for g in range(1, 40001)]
