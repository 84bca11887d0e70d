"""A query over several connections and the store, over the API."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as database
from django.db.models.functions import Now
from psycopg.conninfo import make_conninfo
from rest_framework.test import APIClient

from tests import vendors
from tests.api.conftest import Save
from tests.hogql.conftest import Filled
from tests.store.running import Engine
from tests.waiting import until, wait_for
from warehouse import accounts, connections, query_executor
from warehouse.federation import leg, tidy
from warehouse.models import QueryRun, Team, WarehouseConnection
from warehouse.store import client, ddl, names

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED = """
SELECT c.c_mktsegment AS segment, count() AS orders, sum(l.l_quantity) AS quantity
FROM {snowflake}.customer AS c
JOIN {postgres}.orders AS o ON o.o_custkey = c.c_custkey AND o.o_orderdate >= '1997-01-01'
JOIN {bigquery}.lineitem AS l ON l.l_orderkey = o.o_orderkey
WHERE l.l_discount > 0.05 AND c.c_mktsegment <> 'MACHINERY'
GROUP BY segment
ORDER BY segment
"""

ENDLESS = """
SELECT count() AS n FROM {shop}.lineitem AS a, {shop}.lineitem AS b, {shop}.lineitem AS c
WHERE a.l_comment < b.l_comment AND b.l_comment < c.l_comment
"""


@pytest.fixture
def shops(save: Save, filled: Filled, store: Engine) -> dict[str, str]:
    """By provider: how its tables of TPC-H begin in a query."""
    found = {}
    for provider in ("postgres", "snowflake", "bigquery"):
        save(provider)
        found[provider] = f"{provider}.{filled.schema(provider)}"
    return found


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/queries/"


@pytest.fixture
def expected(filled: Filled, endpoints: dict[str, Any]) -> list[list[Any]]:
    """What a bare Postgres with all the tables answers."""
    schema = filled.schema("postgres")
    sql = COUNTED.format(snowflake=schema, postgres=schema, bigquery=schema)
    with vendors.postgres(endpoints["postgres"]["reader"]) as connection:
        rows = connection.execute(sql.replace("count()", "count(*)")).fetchall()
    return [[segment, count, f"{quantity:f}"] for segment, count, quantity in rows]


def answer(client: APIClient, url: str, text: str, **more: Any) -> Any:
    response = client.post(url, {"query": text, **more}, format="json")
    body = response.getvalue() if response.streaming else response.content
    return json.loads(body)


def scratch_tables(team: Team) -> list[str]:
    with client.owner().query(
        "SELECT name FROM system.tables WHERE database = {db:String} AND name LIKE 'leg\\_%'",
        {"db": names.database(team.pk)},
    ) as rows:
        return [str(name) for name in rows.read_all()["name"].to_pylist()]


def test_three_warehouses_answer_as_one(
    alice: APIClient, team: Team, url: str, shops: dict[str, str], expected: list[list[Any]]
) -> None:
    found = answer(alice, url, COUNTED.format(**shops))
    assert found["error"] is None
    rows = [[a, b, c.rstrip("0").rstrip(".")] for a, b, c in found["rows"]]
    assert rows == [[a, b, c.rstrip("0").rstrip(".")] for a, b, c in expected]
    assert scratch_tables(team) == []


def test_keys_of_few_rows_spare_others_the_rows_that_do_not_count(
    team: Team, shops: dict[str, str], filled: Filled
) -> None:
    text = f"""
    SELECT count() AS n FROM {shops["postgres"]}.orders AS o, {shops["snowflake"]}.customer AS c,
        {shops["bigquery"]}.lineitem AS l
    WHERE c.c_custkey = o.o_custkey AND l.l_orderkey = o.o_orderkey AND c.c_custkey = 1
        AND o.o_totalprice > 0"""
    with query_executor.run_hogql(team, text) as run:
        run.start()
        (batch,) = run
        found = {one.connection.name: one.rows for one in run.asked.legs}
    assert found["snowflake"] == 1
    assert found["postgres"] < 30, "of 15,000 orders"
    assert found["bigquery"] <= batch.column(0)[0].as_py() < 200, "of 60,000 lines"


def test_plan_says_what_each_system_is_asked(
    alice: APIClient, url: str, shops: dict[str, str]
) -> None:
    found = answer(alice, f"{url}plan/", COUNTED.format(**shops))
    assert found["mode"] == "federated"
    assert found["reason"] == "Its tables are in bigquery, postgres and snowflake."
    by_name = {leg["connection"]: leg for leg in found["legs"]}
    assert set(by_name) == {"snowflake", "postgres", "bigquery", None}
    assert "MACHINERY" in by_name["snowflake"]["sql"]
    assert "l_extendedprice" not in by_name["bigquery"]["sql"]
    assert "l_discount" not in by_name[None]["sql"], "its condition is the leg's"
    assert by_name["bigquery"]["estimate"]["bytes_scanned"] > 0
    # What Postgres costs is not known.
    assert found["estimate"]["cost"]["high"] is None
    one = answer(alice, f"{url}plan/", f"SELECT count() AS n FROM {shops['postgres']}.orders")
    assert (one["mode"], one["reason"], len(one["legs"])) == ("push_down", None, 1)


def test_short_names_are_found_and_one_warehouse_runs_it_all(
    alice: APIClient, url: str, shops: dict[str, str]
) -> None:
    schema = shops["snowflake"].split(".")[1]
    found = answer(alice, url, f"SELECT count() AS n FROM {schema}.nation")
    assert found["rows"] == [[25]]


@pytest.mark.parametrize(
    ("bound", "most", "said", "of"),
    [
        ("MAX_ROWS", 2_000, "2,000 rows", {"orders", "lineitem"}),
        ("MAX_TOGETHER", 2**16, "with the other parts", {"orders", "lineitem", "CUSTOMER"}),
    ],
)
def test_part_that_is_too_large_is_refused_by_name_and_nothing_is_left(
    alice: APIClient,
    team: Team,
    url: str,
    shops: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    most: int,
    said: str,
    of: set[str],
) -> None:
    monkeypatch.setattr(leg, bound, most)
    found = answer(alice, url, COUNTED.format(**shops))
    assert found["code"] == "leg_too_large"
    assert said in found["title"]
    connection, asked = found["fields"]["connection"], found["fields"]["tables"]
    assert connection in {"postgres", "bigquery", "snowflake"}
    assert asked.rpartition(".")[2] in of
    assert "synced" in found["hint"]
    assert scratch_tables(team) == []


def test_connection_that_is_paused_has_no_tables(
    alice: APIClient, team: Team, url: str, shops: dict[str, str]
) -> None:
    WarehouseConnection.objects.for_team(team).filter(name="postgres").update(is_active=False)
    found = answer(alice, url, COUNTED.format(**shops))
    assert found["code"] == "hogql_unknown_name"


def test_part_that_fails_names_its_connection_and_nothing_is_left(
    alice: APIClient, team: Team, url: str, shops: dict[str, str]
) -> None:
    """A text that is no number is found only when the warehouse is at work."""
    text = COUNTED.format(**shops).replace("l.l_discount > 0.05", "toInt(l.l_comment) > 0")
    found = answer(alice, url, text)
    assert found["fields"]["connection"] == "bigquery"
    assert scratch_tables(team) == []


def test_cancel_ends_every_leg_in_its_warehouse(
    alice: APIClient,
    team: Team,
    url: str,
    shops: dict[str, str],
    credentials: dict[str, Any],
    endpoints: dict[str, Any],
) -> None:
    """Each leg alone would take hours."""
    legs = [ENDLESS.format(shop=shops[provider]) for provider in ("postgres", "snowflake")]
    text = f"SELECT a.n AS a, b.n AS b FROM ({legs[0]}) AS a, ({legs[1]}) AS b"
    with (
        vendors.snowflake(credentials["snowflake"]) as snowflake,
        psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as postgres,
        ThreadPoolExecutor(1) as other,
    ):
        asking = other.submit(answer_apart, alice, url, text)
        assert until(lambda: _works(postgres) and _works_too(snowflake), 20)
        (shown,) = alice.get(url).json()["results"]
        asked = time.monotonic()
        assert alice.post(f"{url}{shown['id']}/cancel/").status_code == 202
        assert until(lambda: not _works(postgres) and not _works_too(snowflake), 5)
        assert asking.result()["code"] == "query_cancelled"
    assert time.monotonic() - asked < 5
    assert alice.get(f"{url}{shown['id']}/").json()["outcome"] == "cancelled"
    assert scratch_tables(team) == []


def test_cancel_ends_a_part_that_waits_for_a_session(
    alice: APIClient, team: Team, url: str, shops: dict[str, str], settings: Any
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 1
    text = f"SELECT count() AS n FROM {shops['snowflake']}.region, {shops['postgres']}.nation"
    assert answer(alice, url, text)["rows"] == [[125]]
    busy = WarehouseConnection.objects.for_team(team).get(name="postgres")
    with ThreadPoolExecutor(1) as other, connections.leased(busy):
        asking = other.submit(answer_apart, alice, url, text)
        assert until(lambda: scratch_tables(team), 20)
        (shown,) = alice.get(url, {"outcome": "running"}).json()["results"]
        assert alice.post(f"{url}{shown['id']}/cancel/").status_code == 202
        assert asking.result()["code"] == "query_cancelled"
    assert alice.get(f"{url}{shown['id']}/").json()["outcome"] == "cancelled"
    assert scratch_tables(team) == []


def answer_apart(client: APIClient, url: str, text: str) -> Any:
    """From another thread."""
    try:
        return answer(client, url, text)
    finally:
        database.close()


def _works(postgres: "psycopg.Connection[Any]") -> bool:
    asked = (
        "SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    return any("l_comment" in text for (text,) in postgres.execute(asked).fetchall())


def _works_too(snowflake: Any) -> bool:
    asked = (
        "SELECT QUERY_TEXT FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) "
        "WHERE EXECUTION_STATUS = 'RUNNING'"
    )
    return any("L_COMMENT" in text for (text,) in snowflake.cursor().execute(asked).fetchall())


@pytest.fixture
def odd(shops: dict[str, str], filled: Filled, endpoints: dict[str, Any]) -> Iterator[str]:
    """In Postgres, tables that are like others and like none."""
    schema, found = filled.schema("postgres"), endpoints["postgres"]
    place = make_conninfo(found["superuser_dsn"], dbname=found["reader"]["database"])
    with psycopg.connect(place, autocommit=True) as server:
        server.execute(f"CREATE TABLE {schema}.amounts AS SELECT 1::bigint AS id, 9::numeric AS n")
        server.execute(f"CREATE TABLE {schema}.events AS SELECT 7::bigint AS id")
        server.execute(f"GRANT SELECT ON {schema}.amounts, {schema}.events TO PUBLIC")
        yield shops["postgres"]
        server.execute(f"DROP TABLE {schema}.amounts, {schema}.events")


def test_numbers_of_any_size_are_refused_by_name(
    alice: APIClient, url: str, shops: dict[str, str], odd: str
) -> None:
    """They come as text, which would be compared as text."""
    text = f"SELECT max(n) AS n FROM {odd}.amounts, {shops['snowflake']}.region"
    found = answer(alice, url, text)
    assert found["code"] == "data_error"
    assert found["fields"] == {"connection": "postgres", "column": "n"}


def test_events_are_the_stores_whatever_tables_there_are(
    alice: APIClient, url: str, odd: str
) -> None:
    found = answer(alice, url, f"SELECT count() AS n FROM events, {odd}.region")
    assert found["rows"] == [[0]]
    assert answer(alice, url, f"SELECT id FROM {odd}.events")["rows"] == [[7]]


def test_connection_that_a_query_does_not_name_cannot_harm_it(
    alice: APIClient, url: str, store: Engine, save: Save
) -> None:
    save(name="events", password="wrong")
    save(name="e", password="wrong")
    assert answer(alice, url, "SELECT count() AS n FROM events AS e")["rows"] == [[0]]
    found = answer(alice, url, "SELECT * FROM e.public.records")
    assert (found["code"], found["fields"]["connection"]) == ("credentials_rejected", "e")


def test_tables_of_another_team_do_not_exist(
    client_of: Callable[[str], APIClient], other_team: Team, shops: dict[str, str]
) -> None:
    url = f"/api/environments/{other_team.pk}/queries/"
    found = answer(client_of("charlie"), url, COUNTED.format(**shops))
    assert found["code"] == "hogql_unknown_name"


def test_what_a_killed_process_has_left_is_swept_up(team: Team, store: Engine) -> None:
    database = client.create_database(team.pk)
    client.owner().command(ddl.create_scratch(database, "leg_of_nobody_0", [("n", "Int64")]))
    assert tidy.sweep() == 0
    assert scratch_tables(team) == ["leg_of_nobody_0"], "it may be at work"
    assert wait_for(lambda: tidy.sweep(older_than_s=0) == 1, 5)
    assert scratch_tables(team) == []


def test_tables_of_a_query_that_nobody_runs_any_more_go_at_once(team: Team, store: Engine) -> None:
    database = client.create_database(team.pk)
    runs = [QueryRun.all_teams.create(team=team, text="", dialect="hogql") for _ in range(2)]
    lost, running = (f"leg_{run.pk.hex}_0" for run in runs)
    for table in (lost, running):
        client.owner().command(ddl.create_scratch(database, table, [("n", "Int64")]))
    silent = Now() - timedelta(seconds=accounts.LOST_S)
    QueryRun.all_teams.filter(pk=runs[0].pk).update(heartbeat_at=silent)
    assert tidy.sweep() == 1
    assert scratch_tables(team) == [running]
    QueryRun.all_teams.filter(pk=runs[1].pk).update(heartbeat_at=silent, outcome="failed")
    assert tidy.sweep() == 1
    assert scratch_tables(team) == []
