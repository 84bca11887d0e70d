"""Postgres' catalog as we list it: every kind of table, domains, comments, partitions, rights."""

from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.postgres.catalog import arrow_type
from connectors.types import Table
from tests.connectors.proxy import Proxy

PROVIDER = "postgres"
MANY = 320

Owner = psycopg.Connection[Any]


def listed(connector: Connector, schema: str) -> dict[str, Table]:
    return {table.name: table for table in connector.fetch_tables(schema)}


def test_tables_of_every_kind_are_listed(connector: Connector, source: str, owner: Owner) -> None:
    owner.execute(
        f"""SET search_path = {source};
        CREATE TABLE plain (b int NOT NULL, a numeric(5,2), gone int, PRIMARY KEY (b));
        ALTER TABLE plain DROP COLUMN gone;
        CREATE TABLE "Mixed Case" (id int, line int, PRIMARY KEY (line, id));
        CREATE VIEW seen AS SELECT b FROM plain;
        CREATE MATERIALIZED VIEW kept AS SELECT b FROM plain;
        CREATE TABLE hidden (a int);
        REVOKE ALL ON hidden FROM etl_reader;
        INSERT INTO plain SELECT g FROM generate_series(1, 10) AS g;
        ANALYZE plain; RESET search_path"""
    )
    tables = listed(connector, source)
    assert {name: table.kind for name, table in tables.items()} == {
        "plain": "table",
        "Mixed Case": "table",
        "seen": "view",
        "kept": "materialized view",
    }
    plain = tables["plain"]
    assert [(c.name, c.native_type, c.nullable, c.position) for c in plain.columns] == [
        ("b", "integer", False, 1),
        ("a", "numeric(5,2)", True, 2),
    ]
    assert (plain.row_count, plain.primary_key, plain.size_bytes) == (10, ("b",), 8192)
    assert tables["Mixed Case"].primary_key == ("line", "id")
    assert (tables["seen"].row_count, tables["seen"].size_bytes) == (None, None)
    assert tables["Mixed Case"].row_count is None
    assert tables["Mixed Case"].size_bytes is None


def test_comments_are_told(connector: Connector, source: str, owner: Owner) -> None:
    owner.execute(
        f"""CREATE TABLE {source}.t (a int, b int);
        COMMENT ON TABLE {source}.t IS 'What it is, ''quoted''.';
        COMMENT ON COLUMN {source}.t.b IS 'Ünïcode'"""
    )
    table = listed(connector, source)["t"]
    assert table.comment == "What it is, 'quoted'."
    assert [column.comment for column in table.columns] == [None, "Ünïcode"]


def test_partitioned_table_counts_its_partitions(
    connector: Connector, source: str, owner: Owner
) -> None:
    owner.execute(
        f"""CREATE TABLE {source}.parts (n int) PARTITION BY RANGE (n);
        CREATE TABLE {source}.low PARTITION OF {source}.parts FOR VALUES FROM (0) TO (10);
        CREATE TABLE {source}.high PARTITION OF {source}.parts FOR VALUES FROM (10) TO (20);
        INSERT INTO {source}.parts SELECT g FROM generate_series(0, 14) AS g;
        ANALYZE {source}.low"""
    )
    assert listed(connector, source)["parts"].row_count is None
    owner.execute(f"ANALYZE {source}.high")
    tables = listed(connector, source)
    assert (tables["parts"].kind, tables["parts"].row_count) == ("table", 15)
    assert tables["parts"].size_bytes == 2 * 8192
    assert (tables["low"].row_count, tables["high"].row_count) == (10, 5)


def test_only_what_may_be_read_is_listed(connector: Connector, source: str, owner: Owner) -> None:
    owner.execute(
        f"""CREATE TABLE {source}.t (a int, secret int, c int);
        REVOKE ALL ON {source}.t FROM etl_reader;
        GRANT SELECT (a, c) ON {source}.t TO etl_reader"""
    )
    assert [column.name for column in listed(connector, source)["t"].columns] == ["a", "c"]
    owner.execute(f"REVOKE USAGE ON SCHEMA {source} FROM etl_reader")
    assert listed(connector, source) == {}


def test_domain_has_the_type_below_it(connector: Connector, source: str, owner: Owner) -> None:
    owner.execute(
        f"""CREATE DOMAIN {source}.price AS numeric(8,2);
        CREATE DOMAIN {source}.fair_price AS {source}.price NOT NULL CHECK (VALUE > 0);
        CREATE TABLE {source}.t (a {source}.fair_price)"""
    )
    (column,) = listed(connector, source)["t"].columns
    assert column.native_type == f"{source}.fair_price"
    assert (column.arrow_type, column.nullable) == (pa.decimal128(8, 2), False)


TYPES = """smallint integer bigint oid boolean real double~precision numeric numeric(5,2)
    numeric(38,38) numeric(39,0) numeric(6,-2) numeric(3,5) "char" char(3) varchar varchar(9) text
    name bytea date time timetz timestamp timestamp(3) timestamptz timestamptz(0) interval
    interval~day~to~second(2) json jsonb xml uuid inet cidr macaddr bit(3) varbit money point
    integer[] numeric(4,1)[] date[][] int4range tstzrange tsvector pg_lsn xid""".split()


def test_arrow_types_are_those_of_a_querys_result(
    connector: Connector, source: str, owner: Owner
) -> None:
    owner.execute(f"CREATE TYPE {source}.mood AS ENUM ('ok')")
    owner.execute(f"CREATE TYPE {source}.pair AS (a int, b text)")
    kinds = [*(kind.replace("~", " ") for kind in TYPES), f"{source}.mood", f"{source}.pair"]
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
    owner.execute(f"CREATE TABLE {source}.t ({columns})".encode())
    told = [column.arrow_type for column in listed(connector, source)["t"].columns]
    for condition, params in (("true", ()), ("%s", (True,))):
        result = connector.query(f"SELECT * FROM {source}.t WHERE {condition}", params)
        with result:
            assert told == result.schema.types
    assert len(set(told)) > 10


def test_array_of_a_type_is_text() -> None:
    assert arrow_type("integer") == pa.int32()
    assert arrow_type("integer[]") == pa.string()
    assert arrow_type("no such type") == pa.string()


@pytest.fixture
def many(owner: Owner, source: str) -> str:
    """A schema of MANY tables, named t_0 to …, of five columns each."""
    columns = ", ".join(f"c{n} int" for n in range(5))
    made = "; ".join(f"CREATE TABLE {source}.t_{n} ({columns})" for n in range(MANY))
    owner.execute(made.encode())
    return source


def test_many_tables_are_paged_by_one_statement_a_page(
    many: str, opened: Callable[..., Connector], credentials: dict[str, dict[str, Any]]
) -> None:
    form = credentials["postgres"]
    with Proxy() as proxy:
        port = proxy.via(form["host"], form["port"])
        connector = opened("postgres", host="127.0.0.1", port=port)
        seen: list[Table] = []
        rounds = []
        while not seen or len(seen) % 100 == 0:
            before = proxy.rounds
            after = (many, seen[-1].name) if seen else None
            seen += connector.fetch_tables(many, after=after, limit=100)
            rounds.append(proxy.rounds - before)
        before = proxy.rounds
        assert connector.fetch_tables(many) == seen
        rounds.append(proxy.rounds - before)
    assert [table.name for table in seen] == sorted(f"t_{n}" for n in range(MANY))
    assert all(len(table.columns) == 5 for table in seen)
    # The first one signs in as well.
    assert len(set(rounds[1:])) == 1
    assert rounds[1] < 8


def test_search_is_case_blind_beyond_ascii(connector: Connector, source: str, owner: Owner) -> None:
    owner.execute(f'CREATE TABLE {source}."Größe" (a int); CREATE TABLE {source}.grosse (a int)')
    found = connector.fetch_tables(source, search="RÖß")
    assert [table.name for table in found] == ["Größe"]


def test_pages_follow_bytes_not_the_locale(connector: Connector, source: str, owner: Owner) -> None:
    names = ["B", "Z", "_", "a", "b", "z", "Ä", "é", "🙂"]
    for name in reversed(names):
        owner.execute(f'CREATE TABLE {source}."{name}" (a int)'.encode())
    seen: list[str] = []
    while page := connector.fetch_tables(
        source, after=(source, seen[-1]) if seen else None, limit=2
    ):
        seen += [table.name for table in page]
    assert seen == names
