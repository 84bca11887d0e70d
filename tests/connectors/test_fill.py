"""Tables that queries fill, on every provider that can: whole or not at all, and nobody else's."""

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from connectors import NetworkPolicy, connect, registry
from connectors.errors import (
    ConnectorError,
    LoadSuperseded,
    ObjectNotFound,
    SqlRefused,
    TableTaken,
)
from connectors.filling import FillTarget
from connectors.types import Limits
from tests.destinations.ends import BigQuery, Redshift, Snowflake

Row = tuple[Any, ...]
LIMITS = Limits(timeout_s=60)


KILLED = """
import json, os, signal, sys, uuid
from connectors import NetworkPolicy, connect
from connectors.filling import FillTarget
from connectors.types import Limits

given = json.load(sys.stdin)
schema, table, owner = given["place"]
target = FillTarget(schema, table, uuid.UUID(owner), 2)
network = NetworkPolicy.allowing(given["hosts"])
with connect(given["provider"], given["form"], network=network) as worker:
    kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
    worker.fill(target, "SELECT 2 AS n", (), Limits(), kill)
"""


class Postgres(Redshift):
    """The source database, as its owner."""

    provider = "postgres"

    def form(self) -> dict[str, Any]:
        parts = psycopg.conninfo.conninfo_to_dict(self.endpoints["postgres"]["datavault_dsn"])
        return {
            "host": parts["host"],
            "port": int(parts["port"] or 0),
            "database": parts["dbname"],
            "user": parts["user"],
            "password": parts["password"],
        }

    def make(self) -> None:
        dsn = self.endpoints["postgres"]["datavault_dsn"]
        self._looking = psycopg.connect(dsn, autocommit=True)
        self.execute(f"CREATE SCHEMA {self.schema}")


PLACES = (Postgres, Redshift, Snowflake, BigQuery)


@pytest.fixture(params=PLACES, ids=lambda place: place.provider)
def place(
    request: pytest.FixtureRequest, endpoints: dict[str, Any], network: NetworkPolicy
) -> Iterator[Any]:
    made = request.param(endpoints, network, "")
    made.make()
    yield made
    made.close()
    made.drop()


class Filler:
    """Fills one table of a place, as one owner."""

    def __init__(self, place: Any) -> None:
        self.place, self.owner, self.fence = place, uuid.uuid4(), 0
        self.table = registry.provider(place.provider).capabilities.fold("daily")

    def target(self, fence: int) -> FillTarget:
        return FillTarget(self.place.schema, self.table, self.owner, fence)

    def fill(self, sql: str, fence: int = 0, still: Callable[[], None] = lambda: None) -> int:
        self.fence = fence or self.fence + 1
        worker = self.place.connect()
        filled = worker.fill(self.target(self.fence), sql, (), LIMITS, still)
        rows: int = filled.rows
        return rows

    def rows(self) -> list[Row]:
        return [tuple(row) for row in self.place.execute(f"SELECT * FROM {self._path} ORDER BY 1")]

    def tables(self) -> list[str]:
        place = f"{self.place.schema}." if self.place.has_datasets else ""
        asked = (
            f"SELECT table_name FROM {place}INFORMATION_SCHEMA.TABLES "
            f"WHERE table_schema = '{self.place.schema}'"
        )
        return sorted(name for (name,) in self.place.execute(asked))

    @property
    def _path(self) -> str:
        return f"{self.place.schema}.{self.table}"


@pytest.fixture
def filler(place: Any) -> Filler:
    return Filler(place)


def test_table_has_what_the_query_answers_and_nothing_lies_beside_it(filler: Filler) -> None:
    assert filler.fill("SELECT 1 AS n, 'a' AS t UNION ALL SELECT 2, 'b'") == 2
    assert filler.rows() == [(1, "a"), (2, "b")]
    assert filler.fill("SELECT 3 AS n, 'c' AS t") == 1
    assert filler.rows() == [(3, "c")]
    assert filler.fill("SELECT 'x' AS other") == 1
    assert filler.rows() == [("x",)]
    assert filler.tables() == [filler.table]


def test_table_of_the_same_columns_keeps_what_is_granted(filler: Filler) -> None:
    if not filler.place.has_grants:
        pytest.skip("The stand-in takes no GRANT.")
    filler.fill("SELECT 1 AS n")
    filler.place.execute(f"GRANT SELECT ON {filler._path} TO PUBLIC")
    filler.fill("SELECT 2 AS n")
    asked = (
        "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' "
        f"AND table_schema = '{filler.place.schema}'"
    )
    assert filler.place.execute(asked) == [(1,)]


def test_transaction_that_began_before_sees_the_rows_before(filler: Filler) -> None:
    if not filler.place.has_snapshots:
        pytest.skip("It reads what is committed, statement by statement.")
    filler.fill("SELECT 1 AS n")
    filler.place.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    filler.place.execute("SELECT 1")
    filler.fill("SELECT 2 AS n")
    assert filler.rows() == [(1,)]
    filler.place.execute("COMMIT")
    assert filler.rows() == [(2,)]


def test_table_that_was_not_made_here_is_left_alone(filler: Filler) -> None:
    filler.place.execute(f"CREATE TABLE {filler._path} (n INT)")
    filler.place.execute(f"INSERT INTO {filler._path} VALUES (7)")
    with pytest.raises(TableTaken) as caught:
        filler.fill("SELECT 1 AS n")
    assert filler.table in caught.value.detail
    assert (filler.rows(), filler.tables()) == ([(7,)], [filler.table])


def test_table_of_another_owner_is_left_alone(filler: Filler) -> None:
    filler.fill("SELECT 1 AS n")
    with pytest.raises(TableTaken):
        Filler(filler.place).fill("SELECT 2 AS n")
    assert filler.rows() == [(1,)]


def test_name_that_is_taken_while_rows_are_computed_stays_the_others(filler: Filler) -> None:
    def take() -> None:
        filler.place.execute(f"CREATE TABLE {filler._path} (n INT)")

    with pytest.raises(TableTaken):
        filler.fill("SELECT 1 AS n", still=take)
    assert (filler.rows(), filler.tables()) == ([], [filler.table])


def test_fill_that_fails_leaves_the_rows_that_were_there(filler: Filler) -> None:
    filler.fill("SELECT 1 AS n")
    with pytest.raises(ConnectorError):
        filler.fill("SELECT 1 / (n - n) AS n FROM nowhere_to_be_found")

    def lost() -> None:
        raise LoadSuperseded()

    with pytest.raises(LoadSuperseded):
        filler.fill("SELECT 2 AS n", still=lost)
    assert (filler.rows(), filler.tables()) == ([(1,)], [filler.table])


def test_schema_that_is_not_there_is_named(filler: Filler) -> None:
    target = FillTarget("nowhere_at_all", filler.table, filler.owner, 1)
    with pytest.raises(ObjectNotFound) as caught:
        filler.place.connect().fill(target, "SELECT 1 AS n", (), LIMITS, lambda: None)
    assert "no schema nowhere_at_all" in caught.value.detail


@pytest.mark.parametrize("sql", ["DELETE FROM t", "SELECT 1; SELECT 2", "CREATE TABLE t (n INT)"])
def test_only_a_query_fills_a_table(filler: Filler, sql: str) -> None:
    with pytest.raises(SqlRefused):
        filler.fill(sql)
    assert filler.tables() == []


def test_session_is_read_only_again(filler: Filler) -> None:
    worker = filler.place.connect()
    worker.fill(filler.target(1), "SELECT 1 AS n", (), LIMITS, lambda: None)
    with pytest.raises(SqlRefused):
        worker.query(f"DELETE FROM {filler._path}")
    with worker.query("SELECT 1 AS one") as result:
        assert sum(batch.num_rows for batch in result) == 1


def test_worker_that_is_killed_before_its_rows_show_changes_nothing(filler: Filler) -> None:
    filler.fill("SELECT 1 AS n")
    given = {
        "provider": filler.place.provider,
        "form": filler.place.form(),
        "hosts": list(filler.place.network.hosts),
        "place": [filler.place.schema, filler.table, str(filler.owner)],
    }
    run = [sys.executable, "-c", KILLED]
    ended = subprocess.run(run, input=json.dumps(given), text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert filler.rows() == [(1,)]
    assert len(filler.tables()) == 2, "what it has left aside"
    filler.fill("SELECT 3 AS n", fence=3)
    assert (filler.rows(), filler.tables()) == ([(3,)], [filler.table])


def test_of_two_fills_at_once_the_greater_fence_has_the_table(filler: Filler) -> None:
    filler.fill("SELECT 0 AS n")
    both = [Filler(filler.place), Filler(filler.place)]
    for one in both:
        one.owner = filler.owner

    def run(one: Filler, fence: int) -> None:
        try:
            one.fill(f"SELECT {fence} AS n", fence=fence)
        except ConnectorError:
            if fence == 6:
                raise

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run, both, (5, 6)))
    assert (filler.rows(), filler.tables()) == ([(6,)], [filler.table])


def test_late_worker_puts_nothing_in_the_place_of_its_successors_rows(filler: Filler) -> None:
    def overtake() -> None:
        other.fill("SELECT 2 AS n", fence=9)

    other = Filler(filler.place)
    other.owner = filler.owner
    with pytest.raises(ConnectorError):
        filler.fill("SELECT 1 AS n", fence=8, still=overtake)
    assert (filler.rows(), filler.tables()) == ([(2,)], [filler.table])
    with pytest.raises(LoadSuperseded):
        filler.fill("SELECT 1 AS n", fence=8)
    assert filler.rows() == [(2,)]


def test_readers_see_old_rows_or_new_ones(filler: Filler) -> None:
    """Each version's rows all bear its number, and there are 50 of them."""
    numbers = " UNION ALL ".join(f"SELECT {n} AS i" for n in range(50))
    filler.fill(f"SELECT i, 0 AS v FROM ({numbers}) AS s")
    over, seen = threading.Event(), list[tuple[Any, ...]]()

    def read() -> None:
        asked = f"SELECT count(*) AS n, min(v) AS low, max(v) AS high FROM {filler._path}"
        with connect(
            filler.place.provider, filler.place.form(), network=filler.place.network
        ) as reader:
            while not over.is_set():
                with reader.query(asked) as result:
                    seen.extend(tuple(row.values()) for b in result for row in b.to_pylist())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for version in range(1, 6):
            filler.fill(f"SELECT i, {version} AS v FROM ({numbers}) AS s")
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert len(seen) > 3
    assert {(int(n), low == high) for n, low, high in seen} == {(50, True)}
