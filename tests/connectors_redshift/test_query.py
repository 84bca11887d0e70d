import resource
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import InvalidParameters, SqlRefused

from .conftest import ENDLESS, Open, Watcher


def rows(warehouse: Connector, sql: str, params: Any = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = warehouse.query(sql, params).read_all().to_pylist()
    return found


def test_an_empty_result_has_its_schema(warehouse: Connector) -> None:
    table = warehouse.query("SELECT sale_id, price FROM sales WHERE sale_id < 0").read_all()
    assert table.num_rows == 0
    assert table.schema == pa.schema([("sale_id", pa.int32()), ("price", pa.decimal128(8, 2))])


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT sale_id FROM sales WHERE sale_id = %s AND quantity > %s", (7, 0)),
        ("SELECT sale_id FROM sales WHERE sale_id = %(id)s OR sale_id = %(id)s", {"id": 7}),
        ("SELECT sale_id FROM sales WHERE sale_id %% 100 = 7 AND sale_id < %s", [100]),
    ],
)
def test_parameters_are_bound(warehouse: Connector, sql: str, params: Any) -> None:
    assert rows(warehouse, sql, params) == [{"sale_id": 7}]


def test_a_bound_text_is_a_text(warehouse: Connector) -> None:
    nasty = "x'; DROP TABLE sales; -- \\' ü"
    assert rows(warehouse, "SELECT %s::varchar(100) AS v", (nasty,)) == [{"v": nasty}]


def test_parameters_that_do_not_fit_are_refused(warehouse: Connector) -> None:
    with pytest.raises(InvalidParameters):
        warehouse.query("SELECT %s::int", (1, 2))
    assert rows(warehouse, "SELECT 1 AS v") == [{"v": 1}]


def test_rows_come_in_order_and_in_batches(warehouse: Connector) -> None:
    with warehouse.query("SELECT sale_id FROM sales ORDER BY sale_id") as result:
        batches = list(result)
    found = [number for batch in batches for number in batch.column(0).to_pylist()]
    assert found == list(range(1, 20001))
    assert max(batch.num_rows for batch in batches) <= 10_000
    assert (result.rows, result.truncated) == (20000, False)
    assert result.stats.vendor_query_id


def test_a_long_result_streams_in_bounded_memory(warehouse: Connector) -> None:
    wide = "SELECT i, repeat('x', 500) AS text FROM generate_series(1, 200000) AS i"
    warehouse.query("SELECT 1").read_all()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warehouse.query(wide) as result:
        seen = sum(batch.num_rows for batch in result)
    assert seen == 200_000
    # The rows are 100 MB; a batch of them is 5.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60


def test_a_row_limit_cuts_and_says_so(
    open_one: Open, watcher: Watcher, by_password: dict[str, Any]
) -> None:
    warehouse = open_one(run="cut")
    with warehouse.query(ENDLESS, limits=Limits(max_rows=15_000)) as result:
        assert sum(batch.num_rows for batch in result) == 15_000
    assert result.truncated
    assert not watcher.is_busy("cut")
    assert rows(warehouse, "SELECT 1 AS v") == [{"v": 1}]


def test_a_byte_limit_cuts_and_says_so(warehouse: Connector) -> None:
    with warehouse.query(ENDLESS, limits=Limits(max_bytes_returned=100_000)) as result:
        returned = sum(batch.nbytes for batch in result)
    assert result.truncated
    assert 90_000 < returned <= 100_000


def test_every_session_carries_team_and_run(open_one: Open, watcher: Watcher) -> None:
    warehouse = open_one(run="tagged")
    warehouse.query("SELECT 42 AS answer").close()
    assert watcher.sessions("warehouse acme tagged")


def test_every_statement_carries_its_own_run(open_one: Open, watcher: Watcher) -> None:
    warehouse = open_one()
    # The stand-in keeps Redshift's setting under a name that Postgres takes.
    label = "SELECT current_setting('redshift.query_group') AS label"
    for run, shown in (("run-7", "run-7"), ("it's \\ 8", "it_s _ 8")):
        with warehouse.query(label, run_id=run) as result:
            assert watcher.sessions(f"warehouse acme {shown}")
            assert result.read_all().to_pylist() == [{"label": f"{shown} acme warehouse"}]
    assert not watcher.sessions("run-7")


def test_the_server_refuses_a_write_that_slips_through_the_guard(
    open_one: Open, endpoint: dict[str, Any], owner: psycopg.Connection[Any]
) -> None:
    owner.execute("CREATE TABLE scratch.kept (a int)")
    # A function is a query to the guard; only the transaction keeps it from writing.
    owner.execute(
        "CREATE FUNCTION scratch.write() RETURNS int LANGUAGE sql AS "
        "'INSERT INTO scratch.kept VALUES (1) RETURNING a'"
    )
    password = psycopg.conninfo.conninfo_to_dict(endpoint["owner_dsn"])["password"]
    warehouse = open_one(user="awsuser", password=password)
    with pytest.raises(Exception, match="may not do that") as caught:
        warehouse.query("SELECT scratch.write()").read_all()
    assert getattr(caught.value, "code", "") == "permission_denied"
    assert owner.execute("SELECT count(*) FROM scratch.kept").fetchone() == (0,)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UNLOAD ('SELECT 1') TO 's3://b/k' IAM_ROLE default", "not_a_query"),
        ("COPY sales FROM 's3://b/k' IAM_ROLE default", "not_a_query"),
        ("CALL archive()", "not_a_query"),
        ("SELECT 1 INTO made", "select_into"),
        ("SELECT 1; DELETE FROM sales", "multiple_statements"),
        ("SELECT pg_cancel_backend(1)", "function"),
        ("SELECT pg_catalog.pg_terminate_backend(1)", "function"),
        ("SELECT set_config('statement_timeout', '0', false)", "function"),
        ("SELECT 'it\\'s'", "ambiguous"),
        ("SELECT $$a$$", "ambiguous"),
    ],
)
def test_the_guard_reads_redshifts_dialect(warehouse: Connector, sql: str, reason: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        warehouse.query(sql)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT LISTAGG(name, ',') WITHIN GROUP (ORDER BY name) FROM t",
        "SELECT TOP 5 a, DATEADD(day, 1, b) FROM t",
        "SELECT c.orders[0].price::decimal(8, 2) FROM customers c",
        "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) = 1",
        "SELECT APPROXIMATE COUNT(DISTINCT a) FROM t",
        "SELECT REGEXP_SUBSTR(a, '\\d+') FROM #staged WHERE b = $1",
    ],
)
def test_the_guard_lets_redshifts_own_sql_through(warehouse: Connector, sql: str) -> None:
    warehouse._guard(sql)
