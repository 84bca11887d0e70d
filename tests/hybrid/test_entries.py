"""What the team's books have of an answer that was kept."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection as database
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from connectors.errors import ConnectorError, QueryCancelled
from tests.hybrid.asking import LARGE, NOW, ask
from tests.hybrid.test_kept import is_kept, kept  # noqa: F401
from tests.waiting import wait_for
from warehouse import accounts, background, connections, query_executor
from warehouse import kept as kept_rows
from warehouse.accounts import Asked
from warehouse.errors import ConnectionPaused
from warehouse.models import CachedResult, QueryOutcome, QueryRun, WarehouseConnection
from warehouse.recorded import RecordedRun
from warehouse.statements import Language, Statement

pytestmark = pytest.mark.django_db(transaction=True)

FEW = "SELECT generate_series(1, 3) AS n"


def entry_of(run: RecordedRun) -> QueryRun | None:
    return QueryRun.all_teams.filter(pk=run.run_id).first()


@contextmanager
def begun(connection: WarehouseConnection, sql: str) -> Iterator[RecordedRun]:
    with query_executor.run(connection, Statement(sql)) as run:
        run.start()
        yield run


def writes(connection: WarehouseConnection, sql: str) -> list[str]:
    """What asking sends to the service's database, beside what it reads there."""
    with CaptureQueriesContext(
        database,
    ) as caught:
        ask(connection, sql)
    sent = [query["sql"].split()[0] for query in caught.captured_queries]
    return [verb for verb in sent if verb != "SELECT"]


def test_kept_answer_is_written_down_at_once(hybrid: WarehouseConnection) -> None:
    ask(hybrid, FEW)
    assert writes(hybrid, FEW) == ["INSERT"]


def test_its_reader_finds_it_with_the_time_that_reading_took(hybrid: WarehouseConnection) -> None:
    _, first = ask(hybrid, FEW)
    with begun(hybrid, FEW) as run:
        for _ in run:
            assert entry_of(run) is None
            time.sleep(0.2)
        found = entry_of(run)
    assert found is not None
    assert (found.outcome, found.cached, found.rows) == (QueryOutcome.SUCCEEDED, True, 3)
    assert (found.bytes_billed, found.source_run_id) == (0, first.run_id)
    assert found.created_at == found.started_at
    assert found.duration_s is not None
    assert 0.2 <= found.duration_s < 5


def test_reader_who_leaves_it_is_in_the_books(hybrid: WarehouseConnection) -> None:
    ask(hybrid, FEW)
    with begun(hybrid, FEW) as run:
        next(iter(run))
    found = entry_of(run)
    assert found is not None
    assert (found.outcome, found.error_code) == (QueryOutcome.CANCELLED, "query_cancelled")


def test_error_in_its_middle_is_in_the_books(hybrid: WarehouseConnection) -> None:
    ask(hybrid, FEW)
    CachedResult.all_teams.update(rows=F("rows") + 1)
    with pytest.raises(ConnectorError), begun(hybrid, FEW) as run:
        list(run)
    found = entry_of(run)
    assert found is not None
    assert (found.outcome, found.error_code) == (QueryOutcome.FAILED, "store_lost")


def test_warehouse_is_asked_under_an_entry_where_what_is_kept_cannot_be_read(
    hybrid: WarehouseConnection,
) -> None:
    first, _ = ask(hybrid)
    CachedResult.all_teams.update(content=b"")
    with begun(hybrid, NOW) as run:
        found = entry_of(run)
        assert found is not None
        assert found.outcome == QueryOutcome.RUNNING
        assert [row for batch in run for row in batch.to_pylist()] != first
    assert not run.origin.cached


def test_worker_keeps_the_rows_of_a_kept_answer_too(hybrid: WarehouseConnection) -> None:
    ask(hybrid, FEW)
    asked = Asked(hybrid.team_id, None, FEW, Language.NATIVE, "push_down", connection=hybrid)
    waiting = accounts.entry(asked, inputs={"params": [], "max_rows": None})
    accounts.reserve(waiting)
    background.execute(str(waiting.pk))
    waiting.refresh_from_db()
    assert (waiting.outcome, waiting.cached) == (QueryOutcome.SUCCEEDED, True)
    with kept_rows.rows_of(waiting) as run:
        run.start()
        assert [row for batch in run for row in batch.to_pylist()] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_paused_connection_has_the_refusal_in_the_books(hybrid: WarehouseConnection) -> None:
    ask(hybrid, FEW)
    with pytest.raises(ConnectionPaused):
        ask(connections.update(hybrid, {"is_active": False}), FEW)
    found = QueryRun.all_teams.get(outcome=QueryOutcome.FAILED)
    assert found.error_code == ConnectionPaused.code


def test_answer_in_the_store_has_its_entry_while_it_is_read(
    kept: WarehouseConnection,  # noqa: F811
) -> None:
    ask(kept, LARGE)
    wait_for(is_kept)
    with begun(kept, LARGE) as run:
        rows = iter(run)
        next(rows)
        found = entry_of(run)
        assert found is not None
        assert (run.origin.cached, found.outcome) == (True, QueryOutcome.RUNNING)
        accounts.ask_to_end(found)
        time.sleep(2.5 * accounts.BEAT_S)
        with pytest.raises(QueryCancelled):
            next(rows)
    found.refresh_from_db()
    assert (found.outcome, found.cached) == (QueryOutcome.CANCELLED, True)
