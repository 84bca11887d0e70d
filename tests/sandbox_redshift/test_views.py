from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.waiting import wait_for

from .conftest import aws_client, sign_in


@pytest.fixture
def tables(owner: psycopg.Connection[Any]) -> Any:
    owner.execute(
        "CREATE SCHEMA shop;"
        "CREATE TABLE shop.item (a int, b varchar(20) NOT NULL, c numeric(10, 3), d text[]);"
        "CREATE VIEW shop.cheap AS SELECT * FROM shop.item;"
        "COMMENT ON TABLE shop.item IS 'what is sold';"
        "INSERT INTO shop.item SELECT i, 'x', i, NULL FROM generate_series(1, 500) i"
    )
    owner.execute("ANALYZE shop.item")
    yield
    owner.execute("DROP SCHEMA shop CASCADE")


def test_svv_tables_lists_tables_and_views(endpoint: dict[str, Any], tables: None) -> None:
    with sign_in(endpoint) as reader:
        found = reader.execute(
            "SELECT table_name, table_type, remarks FROM svv_tables "
            "WHERE table_schema = 'shop' ORDER BY 1"
        ).fetchall()
    assert found == [("cheap", "VIEW", None), ("item", "BASE TABLE", "what is sold")]


def test_svv_columns_describes_them(endpoint: dict[str, Any], tables: None) -> None:
    with sign_in(endpoint) as reader:
        found = reader.execute(
            "SELECT column_name, ordinal_position, is_nullable, data_type, "
            "character_maximum_length, numeric_precision, numeric_scale FROM svv_columns "
            "WHERE table_schema = 'shop' AND table_name = 'item' ORDER BY 2"
        ).fetchall()
    assert found == [
        ("a", 1, "YES", "integer", None, 32, 0),
        ("b", 2, "NO", "character varying", 20, None, None),
        ("c", 3, "YES", "numeric", None, 10, 3),
        ("d", 4, "YES", "ARRAY", None, None, None),
    ]


def test_svv_table_info_tells_rows_and_blocks(endpoint: dict[str, Any], tables: None) -> None:
    with sign_in(endpoint) as reader:
        found = reader.execute(
            'SELECT "table", tbl_rows, size FROM svv_table_info WHERE "schema" = \'shop\''
        ).fetchall()
    assert found == [("item", 500, 1)]


def test_svv_table_info_is_not_for_everybody(endpoint: dict[str, Any]) -> None:
    found = aws_client(endpoint, "redshift-serverless").get_credentials(
        workgroupName=endpoint["iam"]["workgroup"]
    )
    with (
        sign_in(endpoint, user=found["dbUser"], password=found["dbPassword"]) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute("SELECT * FROM svv_table_info")


def test_stv_recents_shows_what_runs(
    endpoint: dict[str, Any], owner: psycopg.Connection[Any]
) -> None:
    statement = "SELECT pg_sleep(60) AS seen_in_recents"
    query = "SELECT count(*) FROM stv_recents WHERE status = 'Running' AND trim(query) = %s"

    def running() -> bool:
        return owner.execute(query, [statement]).fetchone() == (1,)

    with psycopg.connect(endpoint["owner_dsn"]) as other, ThreadPoolExecutor(1) as threads:
        run = threads.submit(other.execute, statement)
        assert wait_for(running, 5)
        other.cancel_safe(timeout=5)
        assert isinstance(run.exception(5), psycopg.errors.QueryCanceled)
        assert wait_for(lambda: not running(), 5)


def test_the_reader_cannot_write(endpoint: dict[str, Any], tables: None) -> None:
    with sign_in(endpoint, autocommit=True) as reader:
        for statement in ("DELETE FROM shop.item", "CREATE TABLE mine (a int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def test_a_backslash_escapes_and_doubles_are_short_as_on_a_cluster(
    endpoint: dict[str, Any],
) -> None:
    with sign_in(endpoint) as reader:
        row = reader.execute(r"SELECT 'it\'s', (0.1::float8 + 0.2::float8)::text").fetchone()
    assert row == ("it's", "0.3")
