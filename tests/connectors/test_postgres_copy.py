"""Rows by binary COPY: the same as by a cursor for every type, and no way out of the brackets."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql as pgsql

from connectors import Connector, Limits, sql_guard
from connectors.errors import DataError, QueryCancelled, SqlRefused
from connectors.postgres import compiled, wire
from connectors.postgres.copy import FIRST_BYTES, PIECE_BYTES, CopyExecution, copy_statement
from connectors.postgres.types import copied
from connectors.providers.postgres import Postgres
from tests.connectors.helpers import rows_of

PROVIDER = "postgres"
MB = 2**20
ENDLESS = "SELECT generate_series(1, 1000000000000) AS n"

Session = psycopg.Connection[Any]


@pytest.fixture
def session(connector: Connector) -> Session:
    """The session of an open connector, set up as it sets up its own."""
    connector.query("SELECT 1 AS one").read_all()
    found: Session = connector._connection  # type: ignore[attr-defined]
    return found


def copy(session: Session, sql: str, max_rows: int | None = None) -> pa.Table:
    execution = CopyExecution(session, sql, 60, "test", max_rows)
    try:
        execution.start()
        return pa.Table.from_batches(execution.batches(), schema=execution.schema)
    finally:
        execution.close()


def by_cursor(session: Session, sql: str) -> pa.Table:
    execution = wire.CursorExecution(session, sql, (), 60, "test")
    try:
        execution.start()
        return pa.Table.from_batches(execution.batches(), schema=execution.schema)
    finally:
        execution.close()


def assert_same(session: Session, sql: str) -> pa.Table:
    """Both ways give one table; NaN and the sign of zero show in the text."""
    copied_, fetched = copy(session, sql), by_cursor(session, sql)
    assert copied_.schema.equals(fetched.schema, check_metadata=True)
    assert repr(copied_.to_pydict()) == repr(fetched.to_pydict())
    return copied_


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
    wire.read_everything_else_as_text(ascii_session)
    for way in (copy, by_cursor):
        with pytest.raises(psycopg.Error) as caught:
            way(ascii_session, "SELECT 'fine' AS fine, E'caf\\xe9' AS odd")
        assert type(wire.error_for(caught.value)) is DataError
    assert copy(ascii_session, "SELECT 'café' AS v").to_pylist() == [{"v": "café"}]


# Brackets

BENIGN = [
    ("SELECT 1 AS v;", 1),
    ("SELECT 1 AS v ; ;\n", 1),
    ("SELECT 1 AS v -- )", 1),
    ("SELECT 1 AS v; -- done )", 1),
    ("SELECT 1 AS v /* ) */", 1),
    ("-- (\nSELECT 1 AS v", 1),
    ("SELECT ')' AS v", ")"),
    ("SELECT E'\\')' AS v", "')"),
    ("SELECT $$)$$ AS v", ")"),
    ("SELECT $a$) TO PROGRAM 'x' --$a$ AS v", ") TO PROGRAM 'x' --"),
    ("SELECT '\\' AS v", "\\"),
    ("(SELECT 2 AS v) UNION ALL (SELECT 2) LIMIT 1", 2),
    ("WITH a AS (SELECT (1)) SELECT 3 AS v FROM a", 3),
    ("SELECT 4 AS v FROM (SELECT 1) AS a(b) ORDER BY (b)", 4),
]


@pytest.mark.parametrize(("sql", "value"), BENIGN)
@pytest.mark.parametrize("max_rows", [None, 5])
def test_query_may_hold_brackets_and_comments(
    connector: Connector, sql: str, value: Any, max_rows: int | None
) -> None:
    result = connector.query(sql, limits=Limits(max_rows=max_rows))
    assert result.read_all().to_pylist() == [{"v": value}]


HOSTILE = [
    "SELECT 1) TO PROGRAM 'touch {}' --",
    "SELECT 1) TO PROGRAM 'touch {}' (FORMAT BINARY) --",
    "SELECT 1) TO PROGRAM 'touch {}' /*",
    "SELECT 1) TO PROGRAM 'touch {}' WITH (FORMAT csv",
    "SELECT 1\n) TO PROGRAM 'touch {}'; COPY (SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO PROGRAM 'touch {}'",
    "SELECT 1; COPY (SELECT 1) TO PROGRAM 'touch {}';",
    "SELECT ')' ) TO PROGRAM 'touch {}' --",
    "SELECT $$($$) TO PROGRAM 'touch {}' --",
    "SELECT '(' ) TO PROGRAM 'touch {}' --'",
    "SELECT 1 AS \"(\" ) TO PROGRAM 'touch {}' --",
    "SELECT 1 /* ( */ ) TO PROGRAM 'touch {}' --",
    "SELECT 1 -- (\n) TO PROGRAM 'touch {}' --",
    "SELECT 1 /* /* ( */ ) TO PROGRAM 'touch {}' --",
    "VALUES (1)) TO PROGRAM 'touch {}' --",
    "TABLE pg_class) TO PROGRAM 'touch {}' --",
    "SELECT E'\\') TO PROGRAM ''touch {}'' --' ) TO PROGRAM 'touch {}' --",
    "SELECT 1) TO '{}' --",
    "SELECT 1) TO STDOUT; COPY (SELECT 1) TO PROGRAM 'touch {}' --",
    "pg_class TO PROGRAM 'touch {}' --",
    "SELECT 1) AS q; COPY (SELECT 1) TO PROGRAM 'touch {}' --",
    "SELECT 1) AS q OFFSET 0) AS q) TO PROGRAM 'touch {}' --",
]


@pytest.fixture
def mark() -> Iterator[Path]:
    """A file that is not there, where the server could make it."""
    with TemporaryDirectory(prefix="copied-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder) / "mark"


@pytest.fixture
def superuser(endpoints: dict[str, Any]) -> Iterator[Session]:
    """A session that may start programs, even from a read-only transaction."""
    dsn = endpoints["postgres"]["superuser_dsn"]
    with psycopg.connect(dsn, client_encoding="utf8") as found:
        found.read_only = True
        yield found


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("max_rows", [None, 5])
def test_server_runs_nothing_but_the_query(
    superuser: Session, mark: Path, sql: str, max_rows: int | None
) -> None:
    """Here without the guard, which comes first and refuses all of these too."""
    hostile = sql.replace("{}", str(mark))
    with pytest.raises(SqlRefused):
        sql_guard.check(hostile, Postgres.capabilities)
    with pytest.raises((psycopg.errors.SyntaxError, SqlRefused)):
        copy(superuser, hostile, max_rows)
    assert not mark.exists()


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("kind", ["int4", "interval"])
def test_statement_around_a_hostile_text_is_not_made_or_means_nothing(
    superuser: Session, mark: Path, sql: str, kind: str
) -> None:
    """Here without the cursor, on which the server itself judges the text."""
    column = copied(23 if kind == "int4" else 1186, pa.field("v", pa.string()))
    with pytest.raises((SqlRefused, psycopg.errors.SyntaxError)):
        superuser.execute(copy_statement(sql.replace("{}", str(mark)), [column]).encode())
    assert not mark.exists()


def test_superuser_could_have_done_it(superuser: Session, mark: Path) -> None:
    superuser.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {mark}'".encode())
    assert mark.exists()


# Limits, batches, cancelling


def test_row_limit_does_not_read_the_whole_query(connector: Connector) -> None:
    with connector.query(ENDLESS, limits=Limits(timeout_s=20, max_rows=5)) as result:
        assert result.read_all().column(0).to_pylist() == [1, 2, 3, 4, 5]
    assert result.truncated


def test_byte_limit_does_not_read_the_whole_query(connector: Connector) -> None:
    limits = Limits(timeout_s=20, max_bytes_returned=MB)
    with connector.query(ENDLESS, limits=limits) as result:
        assert sum(batch.nbytes for batch in result) <= MB
    assert result.truncated
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


def test_query_that_is_left_in_the_middle_ends_in_the_server(
    session: Session, endpoints: dict[str, Any]
) -> None:
    execution = CopyExecution(session, ENDLESS, 60, "left-in-the-middle")
    execution.start()
    next(execution.batches())
    execution.close()
    assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"]) as server:
        found = server.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", [session.info.backend_pid]
        ).fetchone()
    assert found == ("idle",)


def test_server_ends_by_itself_at_the_row_limit(session: Session) -> None:
    execution = CopyExecution(session, ENDLESS, 60, "limited", max_rows=5)
    execution.start()
    assert next(execution.batches()).num_rows == 6
    assert session.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    execution.close()


def test_cancel_that_the_server_has_missed_is_seen(session: Session) -> None:
    execution = CopyExecution(session, "SELECT pg_sleep(60)", 60, "missed")
    execution.start()
    began = time.monotonic()
    execution.cancel()
    with pytest.raises(QueryCancelled):
        next(execution.batches())
    execution.close()
    assert time.monotonic() - began < 5
    assert copy(session, "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_first_rows_come_before_the_query_has_ended(connector: Connector) -> None:
    slow = "SELECT repeat('x', 10000) AS w, pg_sleep(CASE WHEN g > 20 THEN 60 ELSE 0 END)"
    with connector.query(f"{slow} FROM generate_series(1, 30) AS g", run_id="r") as result:
        assert next(iter(result)).num_rows > 5


WIDE = "repeat('x', 300000)"


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("g", 2_000_000),
        ("NULL::numeric(30,2), NULL::numeric(30,2), NULL::bool", 400_000),
        (WIDE, 100),
        (f"CASE WHEN g % 2 = 0 THEN {WIDE} ELSE 'x' END", 100),
        (", ".join(f"g AS c{n}" for n in range(1600)), 2_000),
    ],
    ids=["narrow", "null", "wide", "uneven", "many columns"],
)
def test_batches_are_bounded_by_bytes(
    connector: Connector, monkeypatch: pytest.MonkeyPatch, columns: str, rows: int
) -> None:
    # On a slow machine pieces are long in coming, and are then handed on as they are.
    monkeypatch.setattr("connectors.postgres.copy.WAKE_S", 60)
    sql = f"SELECT {columns} FROM generate_series(1, {rows}) AS g"
    with connector.query(sql) as result:
        sizes = [batch.nbytes for batch in result]
    assert result.rows == rows
    assert max(sizes) <= wire.BATCH_BYTES
    assert len(sizes) <= 5 + 2 * sum(sizes) / wire.BATCH_BYTES


def test_first_batch_is_small(connector: Connector) -> None:
    with connector.query("SELECT generate_series(1, 1000000) AS n") as result:
        assert next(iter(result)).nbytes <= FIRST_BYTES + PIECE_BYTES


@pytest.mark.parametrize("kind", ["text", "bytea"])
def test_huge_value_has_a_batch_of_its_own(connector: Connector, kind: str) -> None:
    size = 50_000_000
    value = (
        f"convert_to(repeat('x', {size}), 'UTF8')" if kind == "bytea" else f"repeat('x', {size})"
    )
    sql = f"SELECT g, CASE g WHEN 5 THEN {value} END AS v FROM generate_series(1, 10) AS g"
    table = connector.query(sql).read_all()
    assert table.column("g").to_pylist() == list(range(1, 11))
    [value] = table.column("v").drop_null()
    assert len(value.as_buffer()) == size


def test_empty_query_has_a_schema(session: Session) -> None:
    found = copy(session, "SELECT 1::int AS a, '1'::interval AS b WHERE false")
    assert found.schema == pa.schema([("a", pa.int32()), ("b", pa.string())])
    assert found.num_rows == 0


def test_query_without_columns_has_no_rows_to_show(session: Session) -> None:
    assert_same(session, "SELECT FROM generate_series(1, 3)")


def test_rows_come_over_tls_as_well(
    opened: Callable[..., Connector], endpoints: dict[str, Any]
) -> None:
    """There, libpq may hold rows that no poll of the socket shows."""
    place = {name: endpoints["postgres"]["tls"][name] for name in ("host", "port")}
    sql = "SELECT g, repeat('x', g % 5000) AS word FROM generate_series(1, 40000) AS g"
    table = opened("postgres", **place, sslmode="require").query(sql).read_all()
    assert table.column("g").to_pylist() == list(range(1, 40001))
    assert pc.binary_length(table.column("word")).to_pylist() == [g % 5000 for g in range(1, 40001)]
