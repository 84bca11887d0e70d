"""Large answers are kept in the store: exactly, out of everybody's way, and not for ever."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import SqlRefused
from tests.hybrid.asking import LARGE, NOW, ask, begin, tell
from tests.hybrid.test_answers import older
from tests.store.running import Engine, reset_peak, rss_mb
from tests.waiting import wait_for
from warehouse import query_executor
from warehouse.hybrid import cache, pieces
from warehouse.models import CachedResult, CacheStatus, Team, WarehouseConnection
from warehouse.statements import Statement
from warehouse.store import names, queries

pytestmark = pytest.mark.django_db(transaction=True)

OWN_GROWTH_MB, ENGINE_GROWTH_MB = 60, 350
"""What 86 MB may add: the engine has them in memory as one block, to write them as a whole."""

EVERY_KIND = """
SELECT n, 1.50::numeric(10, 2) + n AS price, 'NaN'::float8 AS nan, 9007199254740993::bigint AS big,
       decode('00ff', 'hex') AS raw, '2026-01-02 03:04:05.123456+02'::timestamptz AS at,
       '2026-01-02 03:04:05'::timestamp AS local, '0001-01-01'::date AS day, n % 2 = 0 AS even,
       NULL::int AS nothing, '{"a": 12345678901234567890}'::jsonb AS doc, '23:59:59'::time AS clock,
       repeat('naïve', n % 7) AS word, NULLIF(n % 3, 0)::smallint AS small
FROM generate_series(1, 9000) AS n
"""


@pytest.fixture
def kept(
    hybrid: WarehouseConnection, store: Engine, settings: Any
) -> Iterator[WarehouseConnection]:
    """The hybrid connection, with the store's engine there; nothing stays in it."""
    store.use(settings)
    yield hybrid
    CachedResult.all_teams.all().delete()
    cache.sweep()


def batches(connection: WarehouseConnection, sql: str) -> tuple[pa.Table, Any]:
    with query_executor.run(connection, Statement(sql)) as run:
        run.start()
        return pa.Table.from_batches(list(run), schema=run.schema), run


def is_kept(count: int = 1) -> bool:
    return CachedResult.all_teams.filter(status=CacheStatus.READY).count() == count


def test_rows_of_every_kind_come_back_as_they_were(kept: WarehouseConnection) -> None:
    first, _ = batches(kept, EVERY_KIND)
    again, run = batches(kept, EVERY_KIND)
    assert run.origin.cached
    assert CachedResult.all_teams.get().in_store
    assert again.schema.equals(first.schema, check_metadata=True)
    assert [len(chunk) for chunk in again["n"].chunks] == [len(c) for c in first["n"].chunks]
    assert again.drop(["nan"]).equals(first.drop(["nan"]))
    assert all(math.isnan(value) for value in again["nan"].to_pylist())
    assert run.rows == 9000


def test_large_answer_passes_in_bounded_memory(
    kept: WarehouseConnection, store: Engine, settings: Any, record_property: Any
) -> None:
    settings.QUERY_MAX_ROWS = 100_000
    sql = Statement("SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 90000) AS n")
    before = {"engine": rss_mb(store.pid, "VmRSS"), "own": rss_mb("self", "VmRSS")}
    for pid in (store.pid, "self"):
        reset_peak(pid)
    sizes = []
    for _ in range(2):
        with query_executor.run(kept, sql) as run:
            run.start()
            sizes.append(sum(batch.nbytes for batch in run))
        wait_for(is_kept, 20)
    assert run.origin.cached
    assert sizes[0] == sizes[1] > 80 * 2**20
    peak = {"engine": rss_mb(store.pid), "own": rss_mb("self")}
    record_property("memory_mb", {"before": before, "peak": peak})
    assert peak["own"] - before["own"] < OWN_GROWTH_MB, (before, peak)
    assert peak["engine"] - before["engine"] < ENGINE_GROWTH_MB, (before, peak)


def test_answer_without_rows_has_its_columns(kept: WarehouseConnection) -> None:
    sql = EVERY_KIND + " WHERE n < 0"
    first, _ = batches(kept, sql)
    again, run = batches(kept, sql)
    assert run.origin.cached
    assert again.schema.equals(first.schema)
    assert (again.num_rows, first.num_rows) == (0, 0)


def test_no_query_of_the_team_reads_it(kept: WarehouseConnection, team: Team) -> None:
    ask(kept, LARGE)
    wait_for(is_kept)
    table = names.result_table(CachedResult.all_teams.get().pk)
    for name in (table, table.upper(), f"`{table}`", f"{names.database(team.pk)}.{table}"):
        with pytest.raises(SqlRefused):
            queries.run(team.pk, f"SELECT * FROM {name}")
    assert queries.run(team.pk, f"WITH {table} AS (SELECT 1 AS x) SELECT x FROM {table}").read_all()


def test_query_is_answered_directly_where_the_store_is_gone(
    kept: WarehouseConnection, settings: Any, tmp_path: Any
) -> None:
    first, _ = ask(kept, LARGE)
    wait_for(is_kept)
    settings.STORE_PATH = str(tmp_path)
    again, run = ask(kept, LARGE)
    assert again != first
    assert not run.origin.cached


def test_what_cannot_be_kept_is_answered_and_small_answers_are_kept_without_a_store(
    hybrid: WarehouseConnection,
) -> None:
    first, _ = ask(hybrid, LARGE)
    wait_for(lambda: CachedResult.all_teams.filter(status=CacheStatus.NOT_KEPT).exists())
    assert ask(hybrid, LARGE)[0] != first
    assert ask(hybrid, NOW)[0] == ask(hybrid, NOW)[0]


def test_answer_whose_table_is_gone_is_fetched_anew(kept: WarehouseConnection) -> None:
    first, _ = ask(kept, LARGE)
    wait_for(is_kept)
    pieces.drop(CachedResult.all_teams.all())
    again, run = ask(kept, LARGE)
    assert again != first
    assert not run.origin.cached
    assert ask(kept, LARGE)[0] == again


def test_newer_answer_takes_the_place_of_the_last(kept: WarehouseConnection) -> None:
    ask(kept, LARGE)
    wait_for(is_kept)
    last = CachedResult.all_teams.get()
    newer, _ = ask(kept, LARGE, max_age_s=0)
    wait_for(lambda: not CachedResult.all_teams.filter(pk=last.pk).exists())
    wait_for(lambda: len(pieces.tables()) == 1)
    assert ask(kept, LARGE)[0] == newer


def test_answers_used_longest_ago_make_room(
    kept: WarehouseConnection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.hybrid.cached.USED_EVERY_S", 0)
    asked = [f"{LARGE} WHERE n > {n}" for n in range(3)]
    for count, sql in enumerate(asked, start=1):
        ask(kept, sql)
        wait_for(lambda count=count: is_kept(count))
    ask(kept, asked[0])
    settings.STORE_CACHE_MB = 1
    assert sum(CachedResult.all_teams.values_list("size_bytes", flat=True)) > 10**6
    cache.sweep()
    assert sum(CachedResult.all_teams.values_list("size_bytes", flat=True)) <= 10**6
    plans = [query_executor.plan(kept, Statement(sql)) for sql in asked]
    assert [plan.estimate.cost_low == 0 for plan in plans] == [True, False, True]


def test_killed_keeper_leaves_no_table(
    kept: WarehouseConnection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LEASE_S", 0.1)
    sql = "SELECT n, repeat(md5(n::text), 200) AS word FROM generate_series(1, 9000) AS n"
    doomed = begin(kept, sql, STORE_PATH=settings.STORE_PATH)
    tell(doomed)
    wait_for(pieces.tables, 20)
    doomed.kill()
    doomed.communicate()
    # Longer than the lease that the dead one had.
    time.sleep(0.2)
    cache.sweep()
    answers = list(CachedResult.all_teams.all())
    assert all(answer.status == CacheStatus.READY for answer in answers)
    assert {table for _, table in pieces.tables()} == {
        names.result_table(answer.pk) for answer in answers
    }
    assert len(ask(kept, sql)[0]) == 9000


def test_sweep_forgets_what_is_out_of_date(kept: WarehouseConnection) -> None:
    ask(kept, LARGE)
    wait_for(is_kept)
    cache.sweep()
    assert is_kept()
    assert len(pieces.tables()) == 1
    older(1000)
    cache.sweep()
    assert is_kept(0)
    assert pieces.tables() == []
