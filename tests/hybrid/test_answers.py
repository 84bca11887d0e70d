"""Which queries are answered by what was kept, and what such an answer says of itself."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from connectors.errors import ConnectorError
from connectors.types import Basis
from tests.api.conftest import Save
from tests.hybrid.asking import NOW, ask
from warehouse import connections, query_executor
from warehouse.errors import ConnectionPaused
from warehouse.hybrid import cache
from warehouse.limits import limits_for
from warehouse.models import CachedResult, ConnectionMode, Team, WarehouseConnection
from warehouse.pool import pool
from warehouse.statements import Statement
from warehouse.tasks import refresh_result

pytestmark = pytest.mark.django_db

SECRET = "a-value-that-nobody-writes-down"


def older(seconds: float) -> None:
    """Let everything that is kept be older by so much."""
    back = timedelta(seconds=seconds)
    CachedResult.all_teams.update(
        created_at=F("created_at") - back, expires_at=F("expires_at") - back
    )


def test_second_answer_is_the_first_and_says_so(hybrid: WarehouseConnection) -> None:
    first, asked = ask(hybrid)
    again, kept = ask(hybrid)
    assert again == first
    assert (asked.origin.cached, kept.origin.cached) == (False, True)
    assert asked.origin.age_s == 0 < kept.origin.age_s < 5
    assert kept.origin.run_id == asked.run_id != kept.run_id
    assert kept.origin.as_of <= asked.origin.as_of
    assert (kept.stats.bytes_scanned, kept.stats.bytes_billed) == (0, 0)


def test_kept_answer_needs_no_session(hybrid: WarehouseConnection) -> None:
    first, _ = ask(hybrid)
    pool.close()
    hybrid.encrypted_credentials = "nobody can read this"
    assert ask(hybrid)[0] == first


def test_direct_connection_keeps_nothing(hybrid: WarehouseConnection) -> None:
    direct = connections.update(hybrid, {"mode": ConnectionMode.DIRECT})
    first, _ = ask(direct)
    again, run = ask(direct)
    assert first != again
    assert (run.origin.cached, run.origin.age_s) == (False, 0)
    assert not CachedResult.all_teams.exists()


def test_blanks_and_comments_make_no_other_query(hybrid: WarehouseConnection) -> None:
    first, _ = ask(hybrid, "SELECT clock_timestamp()::text AS at, 'a  b' AS word")
    spaced = "\n/* why */ SELECT   clock_timestamp()::text AS at, -- when\n\t'a  b'\nAS word "
    assert ask(hybrid, spaced)[0] == first


@pytest.mark.parametrize("value", [1.0, "1", True, [1], None])
def test_parameter_of_another_kind_makes_another_query(
    hybrid: WarehouseConnection, value: Any
) -> None:
    sql = NOW + " WHERE %s::text IS DISTINCT FROM 'x'"
    first, _ = ask(hybrid, sql, params=[1])
    assert ask(hybrid, sql, params=(1,))[0] == first
    assert ask(hybrid, sql, params=[value])[0] != first


def test_limit_of_rows_makes_another_query_and_a_cut_answer_stays_cut(
    hybrid: WarehouseConnection,
) -> None:
    sql = "SELECT n, clock_timestamp()::text AS at FROM generate_series(1, 10) AS n"
    whole, _ = ask(hybrid, sql)
    cut, _ = ask(hybrid, sql, max_rows=3)
    again, run = ask(hybrid, sql, max_rows=3)
    assert cut == again
    assert (run.rows, run.truncated, run.origin.cached) == (3, True, True)
    assert len(whole) == 10
    assert whole[:3] != cut


def test_other_team_never_gets_it(
    hybrid: WarehouseConnection, save: Save, other_team: Team
) -> None:
    theirs = connections.update(save(of=other_team), {"mode": ConnectionMode.HYBRID})
    ours, _ = ask(hybrid)
    found, run = ask(theirs)
    assert found != ours
    assert not run.origin.cached
    same = WarehouseConnection(
        **{f.attname: getattr(hybrid, f.attname) for f in hybrid._meta.fields}
    )
    same.team = other_team
    assert query_executor.wish_of(same, Statement(NOW), limits_for(same, None)) != (
        query_executor.wish_of(hybrid, Statement(NOW), limits_for(hybrid, None))
    )


def test_answer_is_good_for_the_connections_time(hybrid: WarehouseConnection) -> None:
    hybrid = connections.update(hybrid, {"config": {"cache_ttl_s": 100}})
    first, _ = ask(hybrid)
    older(95)
    again, run = ask(hybrid)
    assert again == first
    assert 95 <= run.origin.age_s < 100
    older(6)
    assert ask(hybrid)[0] != first


def test_caller_may_ask_for_a_younger_answer(hybrid: WarehouseConnection) -> None:
    first, _ = ask(hybrid)
    older(20)
    assert ask(hybrid, max_age_s=30)[0] == first
    second, run = ask(hybrid, max_age_s=10)
    assert second != first
    assert not run.origin.cached
    third, _ = ask(hybrid, max_age_s=0)
    assert third != second
    assert ask(hybrid)[0] == third
    assert CachedResult.all_teams.count() == 1


@pytest.fixture
def eager() -> Iterator[None]:
    """Tasks are done where they are asked for."""
    refresh_result.app.conf.task_always_eager = True
    yield
    refresh_result.app.conf.task_always_eager = False


@pytest.mark.usefixtures("eager")
def test_stale_answer_is_served_and_refreshed(hybrid: WarehouseConnection) -> None:
    hybrid = connections.update(hybrid, {"config": {"cache_ttl_s": 10, "serve_stale_s": 60}})
    sql = NOW + " WHERE %s <> 'x'"
    first, _ = ask(hybrid, sql, params=[SECRET])
    assert SECRET not in str(CachedResult.all_teams.values())
    older(20)
    again, run = ask(hybrid, sql, params=[SECRET])
    assert again == first
    assert run.origin.age_s > 20
    newer, run = ask(hybrid, sql, params=[SECRET])
    assert newer != first
    assert run.origin.cached
    older(80)
    assert not ask(hybrid, sql, params=[SECRET])[1].origin.cached


def test_values_are_not_written_down_where_nobody_asks_again(hybrid: WarehouseConnection) -> None:
    ask(hybrid, NOW + " WHERE %s <> 'x'", params=[SECRET])
    assert CachedResult.all_teams.get().sealed_inputs == ""
    assert SECRET not in str(CachedResult.all_teams.values())


def test_failed_cancelled_or_left_query_is_not_kept(hybrid: WarehouseConnection) -> None:
    with pytest.raises(ConnectorError):
        ask(hybrid, "SELECT 1 / (n - 9000) FROM generate_series(1, 9000) AS n")
    with query_executor.run(hybrid, Statement(NOW)) as run:
        run.start()
    with query_executor.run(hybrid, Statement("SELECT generate_series(1, 1000000)")) as run:
        run.start()
        next(iter(run))
        run.cancel()
    assert not CachedResult.all_teams.exists()


def test_paused_connection_answers_nothing(hybrid: WarehouseConnection) -> None:
    ask(hybrid)
    with pytest.raises(ConnectionPaused):
        ask(connections.update(hybrid, {"is_active": False}))


CHANGES: list[dict[str, Any]] = [
    {"config": {"max_rows": 9}},
    {"credentials": {"sslmode": "prefer"}},
]


@pytest.mark.parametrize("changes", CHANGES, ids=["config", "credentials"])
def test_changed_connection_is_asked_anew(
    hybrid: WarehouseConnection, changes: dict[str, Any]
) -> None:
    first, _ = ask(hybrid)
    assert ask(connections.update(hybrid, changes))[0] != first
    assert CachedResult.all_teams.count() == 1


def test_other_mode_forgets_what_is_kept(hybrid: WarehouseConnection) -> None:
    first, _ = ask(hybrid)
    connections.update(hybrid, {"mode": ConnectionMode.DIRECT})
    assert not CachedResult.all_teams.exists()
    assert ask(connections.update(hybrid, {"mode": ConnectionMode.HYBRID}))[0] != first


def test_answers_of_a_table_are_forgotten(hybrid: WarehouseConnection, team: Team) -> None:
    of_a, of_b = NOW + ", 1 AS orders", NOW + ", 2 AS people"
    for sql in (of_a, of_b):
        ask(hybrid, sql)
    assert cache.invalidate(team, hybrid, ["ORDERS"]) == 1
    assert cache.invalidate(team, hybrid, ["order", "rder"]) == 0
    assert [ask(hybrid, sql)[1].origin.cached for sql in (of_a, of_b)] == [False, True]
    assert cache.invalidate(team, hybrid, ["an odd name"]) == 2


def test_kept_answer_is_priced_as_free(hybrid: WarehouseConnection) -> None:
    assert query_executor.plan(hybrid, Statement(NOW)).estimate.cost_low != 0
    ask(hybrid)
    found = query_executor.plan(hybrid, Statement(NOW)).estimate
    assert (found.cost_low, found.cost_high, found.basis) == (0, 0, Basis.EXACT)
    assert found.bytes_scanned == 0
    assert "kept" in found.explanation
