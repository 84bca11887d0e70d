"""What the guard refuses in Databricks' dialect, and what happens where it is not there."""

from pathlib import Path
from typing import Any

import pytest

from connectors import Connector
from connectors.errors import SqlRefused
from connectors.providers.databricks import Databricks

GOOD = {
    "host": "dbc-1.cloud.databricks.com",
    "http_path": "/sql/1.0/warehouses/a1",
    "token": "dapi0",
    "catalog": "main",
}

PROPERTY = 'reflect("java.lang.System", "getProperty", "java.version")'
HIDDEN = {
    # The server reads a literal within the hint and ends the hint after it.
    "in a hint": f"SELECT /*+ BROADCAST('*/' ) */ {PROPERTY} AS x -- '",
    # The server goes on with the comment in the next line.
    "after a comment": f"SELECT CONCAT('x' -- \\\n , ' --\n , {PROPERTY} -- '\n) AS x",
}
REACHES_OUT = {
    "runs a program": "SELECT TRANSFORM(order_id) USING 'echo ran' AS (x) FROM orders LIMIT 1",
    "reads a file": "SELECT value AS x FROM text.`{file}`",
    "reads a variable": "SELECT '${{env:SPARK_LOCAL_IP}}' AS x",
}


@pytest.fixture
def unguarded(by_token: dict[str, Any], shared: Connector) -> Any:
    """The connector with its first layer of defence taken off."""
    kind = type("Unguarded", (Databricks,), {"_guard": lambda self, sql: None})
    with kind(by_token, network=shared.network) as connector:
        yield connector


@pytest.mark.parametrize("how", HIDDEN)
def test_a_call_that_only_the_server_would_see_is_refused(
    shared: Connector, unguarded: Connector, how: str
) -> None:
    with pytest.raises(SqlRefused):
        shared.query(HIDDEN[how])
    (found,) = unguarded.query(HIDDEN[how]).read_all().to_pylist()
    assert "17." in found["x"] or "21." in found["x"]


@pytest.mark.parametrize("how", REACHES_OUT)
def test_what_reaches_out_of_the_warehouse_is_refused(
    shared: Connector, unguarded: Connector, how: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("ran")
    sql = REACHES_OUT[how].format(file=tmp_path / "secret")
    with pytest.raises(SqlRefused):
        shared.query(sql)
    with pytest.raises(SqlRefused):
        shared.estimate(sql)
    (found,) = unguarded.query(sql).read_all().to_pylist()
    assert found["x"] in ("ran", "127.0.0.1")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT reflect('java.lang.System', 'exit', 1)", "function"),
        ("SELECT `Java_Method`('java.lang.System', 'exit', 1)", "function"),
        ("SELECT try_reflect('a', 'b')", "function"),
        ("SELECT builtin.reflect('a', 'b')", "function"),
        ("SELECT ai_query('model', 'prompt')", "function"),
        ("SELECT ai_gen('prompt')", "function"),
        ("SELECT system.ai.python_exec('import os')", "function"),
        ("SELECT * FROM read_files('s3://bucket/')", "function"),
        ("SELECT * FROM read_kafka(bootstrapServers => 'x')", "function"),
        ("SELECT http_request(conn => 'c', method => 'GET', path => '/')", "function"),
        ("SELECT * FROM remote_query('c', query => 'q')", "function"),
        ("SELECT secret('scope', 'key')", "function"),
        ("SELECT * FROM list_secrets()", "function"),
        ("SELECT from_avro(a, 'subject', 'http://registry') FROM t", "function"),
        ("SELECT * FROM IDENTIFIER('t')", "function"),
        ("SELECT * FROM csv.`s3://bucket/file`", "reads_stage"),
        ("SELECT * FROM `CSV`.`file`", "reads_stage"),
        ("SELECT * FROM delta.`/mnt/table`", "reads_stage"),
        ("SELECT * FROM `org.apache.spark.sql.execution.text`.`file`", "reads_stage"),
        ("SELECT * FROM (SELECT * FROM t JOIN parquet.`/x` USING (a))", "reads_stage"),
        ("WITH x AS (SELECT TRANSFORM(a) USING 'sh' FROM t) SELECT * FROM x", "function"),
        ("SELECT /*+ BROADCAST(t) */ * FROM t", "ambiguous"),
        ("SELECT 1 -- \\\n + 1", "ambiguous"),
        ("SELECT '${system:user.name}'", "ambiguous"),
        ("FROM t INSERT INTO u SELECT *", "not_a_query"),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "not_a_query"),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "not_a_query"),
        ("COPY INTO t FROM 's3://bucket/'", "not_a_query"),
        ("EXECUTE IMMEDIATE 'DROP TABLE t'", "not_a_query"),
        ("OPTIMIZE t", "not_a_query"),
        ("SET spark.sql.ansi.enabled = false", "not_a_query"),
        ("USE CATALOG other", "not_a_query"),
        ("CALL p()", "not_a_query"),
        ("SELECT 1; SELECT 2", "multiple_statements"),
    ],
)
def test_it_is_refused_with_the_reason(sql: str, reason: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        Databricks(GOOD)._guard(sql)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM main.sales.orders WHERE note LIKE '%DROP TABLE x; --%'",
        "SELECT transform(items, x -> x + 1) FROM orders",
        "SELECT payload:customer.name::string FROM events",
        "SELECT * EXCEPT (secret) FROM t QUALIFY row_number() OVER (ORDER BY a) = 1",
        "SELECT a FROM t GROUP BY ALL ORDER BY ALL LIMIT 5",
        "FROM t |> WHERE a > 1 |> SELECT b",
        "SELECT * FROM t VERSION AS OF 3",
        "SELECT * FROM t TABLESAMPLE (10 PERCENT)",
        "SELECT x.* FROM t LATERAL VIEW explode(items) x AS item",
        "SELECT try_cast(:a AS INT), ? FROM range(10)",
        "SELECT text, csv FROM orders -- a comment",
        "SELECT date'2026-01-01' + INTERVAL '1' DAY, 1.5BD, 2L, X'1F'",
    ],
)
def test_an_ordinary_query_is_let_through(sql: str) -> None:
    Databricks(GOOD)._guard(sql)
