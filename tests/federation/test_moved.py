"""Few rows that are moved to where the many are: the answer is the one that the store gives."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import StringIO
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from django.core.management import call_command
from psycopg.conninfo import make_conninfo
from rest_framework.test import APIClient

from connectors.errors import QueryTimeout
from tests import vendors
from tests.api.conftest import Save
from tests.api.shapes import problem
from tests.connectors import history
from tests.federation.layout import put_into_store
from tests.federation.test_run import answer_apart, scratch_tables
from tests.hogql import tpch_tables
from tests.hogql.compare import same
from tests.hogql.conftest import Filled
from tests.hogql.engines import Row, rows_of
from tests.store.running import Engine
from tests.waiting import until
from warehouse import background, catalogs, connections, query_executor
from warehouse.federation import homes
from warehouse.federation.moved import MovedRun
from warehouse.federation.run import FederatedRun
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = ("postgres", "snowflake", "bigquery", "databricks")
PER_MODE = """
SELECT s.mode AS mode, s.rate AS rate, count(DISTINCT l.l_orderkey) AS n,
    max(l.l_orderkey + s.id) AS last
FROM {large}.lineitem AS l JOIN vault.moved.ships AS s ON s.mode = l.l_shipmode
WHERE l.l_discount > 0.05
GROUP BY s.mode, s.rate ORDER BY s.mode, s.rate
"""
EVERY_KIND = """
SELECT s.id AS id, s.note AS note, s.rate AS rate, s.day AS day, s.at AS at, s.seen AS seen,
    s.factor AS factor, s.good AS good, count(DISTINCT l.l_orderkey) AS n
FROM vault.moved.ships AS s LEFT JOIN {large}.lineitem AS l ON l.l_linenumber = s.id
GROUP BY s.id, s.note, s.rate, s.day, s.at, s.seen, s.factor, s.good ORDER BY s.id
"""
ENDLESS = """
SELECT s.mode AS mode, count(DISTINCT a.l_orderkey) AS n
FROM vault.moved.ships AS s, {large}.lineitem AS a, {large}.lineitem AS b, {large}.lineitem AS c
WHERE s.mode = a.l_shipmode AND a.l_comment < b.l_comment AND b.l_comment < c.l_comment
GROUP BY s.mode
"""
NOTES = [
    "plain", None, "", " O'Neill \"quoted\" ", "\\ \\' \\n %s {a} ${b} @p :p ? --", "naïve ☃ 𝄞",
    "'); DROP TABLE lineitem; --", "[null]", "null", "line\nbreak\ttab",
]  # fmt: skip
MODES = ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK", None, "none", "air"]
SHIPS = [
    (
        number or None,
        MODES[number],
        note,
        f"{number - 5}.{number}5" if number != 3 else None,
        f"19{90 + number}-02-28" if number != 4 else None,
        f"2024-02-29 23:59:59.{number}00001" if number != 5 else None,
        f"2024-02-29 23:59:59.{number}00001+05:30" if number != 6 else None,
        number / 7 if number != 7 else None,
        number % 2 == 0 if number != 8 else None,
    )
    for number, note in enumerate(NOTES)
]


@pytest.fixture(autouse=True)
def _own_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come and go from test to test within seconds."""
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)


@pytest.fixture
def ships(endpoints: dict[str, Any], save: Save) -> Iterator["psycopg.Connection[Any]"]:
    """A connection ``vault`` with a small table; whoever may change it."""
    found = endpoints["postgres"]
    place = make_conninfo(found["superuser_dsn"], dbname=found["reader"]["database"])
    with psycopg.connect(place, autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("CREATE SCHEMA moved")
        cursor.execute("GRANT USAGE ON SCHEMA moved TO PUBLIC")
        cursor.execute(
            "CREATE TABLE moved.ships (id bigint, mode text, note text, rate numeric(9, 2), "
            "day date, at timestamp, seen timestamptz, factor float8, good boolean)"
        )
        cursor.execute("GRANT SELECT ON moved.ships TO PUBLIC")
        cursor.executemany(f"INSERT INTO moved.ships VALUES ({', '.join(['%s'] * 9)})", SHIPS)
        cursor.execute("ANALYZE moved.ships")
        save(name="vault")
        yield server
        cursor.execute("DROP SCHEMA moved CASCADE")


class Asked:
    """Runs a query whose large tables are those of a provider, joined there or in the store."""

    def __init__(self, team: Team, save: Save, filled: Filled) -> None:
        self.team = team
        self._save = save
        self._filled = filled
        self.run: Any = None

    def large(self, provider: str, *, joins_here: bool = True, **config: Any) -> str:
        """A connection to it, and how its tables begin in a query."""
        name = f"{provider}_{'there' if joins_here else 'here'}"
        saved = self._save(provider, name=name)
        connections.update(saved, {"config": config | {"joins_here": joins_here}})
        return f"{name}.{self._filled.schema(provider)}"

    def rows(self, text: str) -> list[Row]:
        with query_executor.run_hogql(self.team, text) as run:
            run.start()
            self.run = run.asked
            return rows_of(pa.Table.from_batches(list(run), schema=run.schema))


@pytest.fixture
def asked(team: Team, save: Save, filled: Filled, store: Engine) -> Asked:
    return Asked(team, save, filled)


@pytest.mark.parametrize("provider", LARGE)
def test_table_without_rows_is_one(
    asked: Asked, ships: "psycopg.Connection[Any]", provider: str
) -> None:
    ships.execute("TRUNCATE moved.ships")
    ships.execute("ANALYZE moved.ships")
    found = asked.rows(
        "SELECT count() AS n, count(s.id) AS ships, max(s.rate) AS rate "
        f"FROM {asked.large(provider)}.lineitem AS l "
        "LEFT JOIN vault.moved.ships AS s ON s.mode = l.l_shipmode"
    )
    assert isinstance(asked.run, MovedRun)
    ((lines, *rest),) = found
    assert lines > 60_000
    assert rest == [0, None]


@pytest.mark.parametrize("bound", ["MOST_ROWS", "MOST_BYTES", "a value"])
def test_store_joins_where_more_comes_than_was_thought(
    asked: Asked, ships: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    if bound == "a value":
        ships.execute("UPDATE moved.ships SET factor = 'Infinity' WHERE id = 1")
    else:
        monkeypatch.setattr(homes, bound, 15)
    # Nobody has counted them since.
    ships.execute(
        "INSERT INTO moved.ships SELECT coalesce(id, 0) + 100, 'TRUCK', note FROM moved.ships"
    )
    text = EVERY_KIND.replace("LEFT JOIN", "JOIN").replace(
        "l_linenumber = s.id", "l_shipmode = s.mode"
    )
    here = asked.rows(text.format(large=asked.large("postgres", joins_here=False)))
    there = asked.rows(text.format(large=asked.large("postgres")))
    assert isinstance(asked.run, MovedRun)
    assert len(there) == 17
    assert_same(there, here)
    by_name = {leg.connection.name: leg.rows for leg in asked.run.legs}
    assert by_name["vault"] == 2 * len(SHIPS)
    assert by_name["postgres_there"] > 50_000
    assert scratch_tables(asked.team) == []


def test_entry_says_what_was_sent_where_the_store_joined_after_all(
    asked: Asked,
    ships: "psycopg.Connection[Any]",
    alice: APIClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(homes, "MOST_BYTES", 15)
    asked.rows(PER_MODE.format(large=asked.large("postgres")))
    assert isinstance(asked.run, MovedRun)
    (entry,) = alice.get(f"/api/environments/{asked.team.pk}/queries/").json()["results"]
    large, vault, store = entry["plan"]
    assert (large["connection"], vault["connection"]) == ("postgres_there", "vault")
    assert "GROUP BY" not in large["sql"]
    assert store["connection"] is None
    assert "GROUP BY" in store["sql"]


def test_what_the_store_has_is_sent_too_and_the_price_is_the_warehouses(
    asked: Asked, save: Save
) -> None:
    lands = pa.table({"mode": ["AIR", "FOB", None], "land": ["NL", "BE", "DE"]})
    put_into_store(save(name="shop"), "public", {"lands": lands})
    found = asked.rows(
        f"SELECT land, count(DISTINCT l_orderkey) AS n FROM {asked.large('bigquery')}.lineitem "
        "JOIN shop.public.lands ON mode = l_shipmode GROUP BY land ORDER BY land"
    )
    assert isinstance(asked.run, MovedRun)
    assert [land for land, _ in found] == ["BE", "NL"]
    assert asked.run.stats.bytes_billed > 0
    assert asked.run.origin.as_of == asked.run.legs.found.as_of, "that of the oldest part"


@pytest.mark.parametrize("provider", LARGE)
def test_plan_says_where_it_is_joined_and_its_price(
    asked: Asked, ships: "psycopg.Connection[Any]", alice: APIClient, provider: str
) -> None:
    url = f"/api/environments/{asked.team.pk}/queries/plan/"
    text = PER_MODE.format(large=asked.large(provider))
    found = alice.post(url, {"query": text}, "json").json()
    assert (found["mode"], found["joined_in"]) == ("federated", f"{provider}_there")
    vault, store, large = found["legs"]
    assert (vault["connection"], store["connection"]) == ("vault", None)
    assert large["connection"] == f"{provider}_there"
    assert "O'Neill" not in large["sql"]
    assert large["estimate"]["bytes_scanned"] > 10_000
    said = StringIO()
    call_command("query", text, "--team", str(asked.team.pk), "--plan", stdout=said)
    assert f"are sent to {provider}_there, and joined there" in said.getvalue()
    text = PER_MODE.format(large=asked.large(provider, joins_here=False))
    assert alice.post(url, {"query": text}, "json").json()["joined_in"] is None


@pytest.mark.parametrize("joined_in", ["there", "store"])
def test_warehouse_is_asked_for_each_estimate_once(
    asked: Asked,
    ships: "psycopg.Connection[Any]",
    alice: APIClient,
    endpoints: dict[str, Any],
    credentials: dict[str, Any],
    joined_in: str,
) -> None:
    url = f"/api/environments/{asked.team.pk}/queries/"
    large, form = asked.large("snowflake"), credentials["snowflake"]
    schema, view = large.partition(".")[2], f"LINES_{uuid.uuid4().hex[:8]}".upper()
    text = PER_MODE.format(large=large).replace("lineitem", view)
    if joined_in == "store":
        ships.execute("INSERT INTO moved.ships SELECT n FROM generate_series(1, 20000) AS n")
        ships.execute("ANALYZE moved.ships")
    owner = tpch_tables.ROWS["snowflake"].owner(endpoints, form)
    with vendors.EXECUTING["snowflake"](owner) as run, history.of_snowflake(form) as ran:

        def estimates() -> list[int]:
            texts = Counter(one.text for one in ran() if one.has("EXPLAIN") and one.has(view))
            return [*texts.values()]

        # Nobody has counted its rows.
        run(f"CREATE VIEW {schema}.{view} AS SELECT * FROM {schema}.LINEITEM")
        waiting = alice.post(url, {"query": text, "wait_s": 0}, "json").json()["id"]
        background.execute(waiting)
        assert estimates() == ([1, 1] if joined_in == "there" else [1])
        entry = alice.get(f"{url}{waiting}/").json()
        assert entry["outcome"] == "succeeded"
        assert "snowflake_there" in [leg["connection"] for leg in entry["plan"]]
        for leg in entry["plan"]:
            assert (leg["estimate"] is None) is (leg["connection"] is None)
        alice.post(f"{url}plan/", {"query": text}, "json")
        assert estimates() == ([2, 2] if joined_in == "there" else [2])
        asked.rows(text)
        assert isinstance(asked.run, MovedRun) is (joined_in == "there")
        assert estimates() == ([3, 2] if joined_in == "there" else [3])


def test_connection_of_another_team_does_not_exist(
    asked: Asked,
    ships: "psycopg.Connection[Any]",
    client_of: Callable[[str], APIClient],
    other_team: Team,
) -> None:
    text = PER_MODE.format(large=asked.large("postgres"))
    url = f"/api/environments/{other_team.pk}/queries/"
    found = client_of("charlie").post(url, {"query": text}, "json")
    problem(found, 400, "hogql_unknown_name")


def test_limits_of_the_connection_hold_and_errors_name_it(
    asked: Asked, ships: "psycopg.Connection[Any]"
) -> None:
    text = ENDLESS.format(large=asked.large("postgres", timeout_s=1))
    with pytest.raises(QueryTimeout) as caught:
        asked.rows(text)
    assert caught.value.fields["connection"] == "postgres_there"
    assert scratch_tables(asked.team) == []


def test_cancel_ends_the_statement_in_its_warehouse(
    asked: Asked, ships: "psycopg.Connection[Any]", alice: APIClient
) -> None:
    url = f"/api/environments/{asked.team.pk}/queries/"
    text = ENDLESS.format(large=asked.large("postgres"))
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(answer_apart, alice, url, text)
        assert until(lambda: is_at_work(ships), 20)
        (shown,) = alice.get(url).json()["results"]
        assert alice.post(f"{url}{shown['id']}/cancel/").status_code == 202
        assert until(lambda: not is_at_work(ships), 10)
        assert asking.result()["code"] == "query_cancelled"
    assert alice.get(f"{url}{shown['id']}/").json()["outcome"] == "cancelled"
    assert scratch_tables(asked.team) == []


def is_at_work(server: "psycopg.Connection[Any]") -> bool:
    """It reads of a statement that has values, which is the moved one alone."""
    asked = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'FETCH%'"
    return bool(server.execute(asked).fetchall())


def assert_same(ours: list[Row], wanted: list[Row]) -> None:
    assert len(ours) == len(wanted)
    for mine, theirs in zip(ours, wanted, strict=True):
        assert all(map(same, map(clock, mine), map(clock, theirs))), (mine, theirs)


def clock(value: Any) -> Any:
    """The store says of every time that it is UTC."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.mark.parametrize("provider", LARGE)
def test_answer_is_that_of_the_store_and_only_it_leaves_the_warehouse(
    asked: Asked, ships: "psycopg.Connection[Any]", provider: str
) -> None:
    here = asked.rows(PER_MODE.format(large=asked.large(provider, joins_here=False)))
    assert isinstance(asked.run, FederatedRun)
    there = asked.rows(PER_MODE.format(large=asked.large(provider)))
    assert isinstance(asked.run, MovedRun)
    assert len(there) == 7
    assert_same(there, here)
    by_name = {leg.connection.name: leg.rows for leg in asked.run.legs}
    assert by_name == {"vault": len(SHIPS), f"{provider}_there": 0}


@pytest.mark.parametrize("provider", LARGE)
def test_every_value_arrives_as_it_is(
    asked: Asked, ships: "psycopg.Connection[Any]", provider: str
) -> None:
    here = asked.rows(EVERY_KIND.format(large=asked.large(provider, joins_here=False)))
    there = asked.rows(EVERY_KIND.format(large=asked.large(provider)))
    assert isinstance(asked.run, MovedRun)
    assert [row[1] for row in there] == [*NOTES[1:], NOTES[0]]
    assert_same(there, here)
