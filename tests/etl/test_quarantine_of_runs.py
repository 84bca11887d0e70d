"""Values that cannot be carried exactly: NULL in the target and written down, or the run stops."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from connectors.quarantine import Quarantined, Reason
from etl import pipelines, quarantine, runner
from etl.models import Pipeline, PipelineRun, QuarantinedValue, RunStatus, Step
from tests.etl.compare import Vault
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Clients = Callable[[str], APIClient]
Start = Callable[[], PipelineRun]

BAD = [
    ({"tenant": "b", "id": "2"}, "day", "infinite", "infinity"),
    ({"tenant": "b", "id": "2"}, "price", "not_a_number", "NaN"),
    ({"tenant": "c", "id": "3"}, "at", "out_of_range", "0044-03-15 12:00:00+00 BC"),
    ({"tenant": "d", "id": "4"}, "doc", "json_number", f'{{"n":  {"9" * 40}}}'),
    ({"tenant": "e", "id": "5"}, "doc", "json_refused", '{"a": 1, "a": 2}'),
]


@pytest.fixture
def odd(vault: Vault) -> None:
    """public.records with five values that cannot be carried, and as many good rows."""
    vault.execute(
        "CREATE TABLE records (tenant text, id int, day date NOT NULL, at timestamptz, "
        "price numeric(10,2), doc json, PRIMARY KEY (tenant, id))"
    )
    nines = "9" * 40
    vault.execute(
        f"""INSERT INTO records VALUES
        ('a', 1, '2026-01-02', '2026-01-02 03:04:05.123456+02', 1.5, '{{"n": 1}}'),
        ('b', 2, 'infinity', NULL, 'NaN', NULL),
        ('c', 3, '0001-01-01', '0044-03-15 12:00:00+00 BC', -1, '[]'),
        ('d', 4, '9999-12-31', NULL, 0, '{{"n":  {nines}}}'),
        ('e', 5, '2026-01-02', NULL, NULL, '{{"a": 1, "a": 2}}')"""
    )


def limit(pipeline: Pipeline, value: int) -> None:
    pipelines.update(pipeline, {"quarantine_limit": value})


def entries(run: PipelineRun) -> list[Any]:
    shown = quarantine.shown(run).order_by("key__id", "column")
    return list(shown.values_list("key", "column", "reason", "text"))


def target(lake: Any, table: str) -> list[tuple[Any, ...]]:
    columns = "ID, DAY::VARCHAR, AT::VARCHAR, PRICE::VARCHAR, DOC::VARCHAR"
    found: list[tuple[Any, ...]] = (
        lake.cursor().execute(f'SELECT {columns} FROM "{table}" ORDER BY ID').fetchall()
    )
    return found


def execute(run: PipelineRun) -> PipelineRun:
    ended = runner.execute(run.pk)
    assert ended is not None
    return ended


def test_bad_values_are_null_in_the_target_and_written_down(
    odd: None, pipeline: Pipeline, start: Start, lake: Any, target_table: str
) -> None:
    limit(pipeline, 5)
    run = execute(start())
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert entries(run) == BAD
    table = run.tables.get()
    assert (table.rows, table.rows_in_target, table.quarantined) == (5, 5, 5)
    rows = target(lake, target_table)
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    days = ["2026-01-02", None, "0001-01-01", "9999-12-31", "2026-01-02"]
    assert [row[1] for row in rows] == days
    assert [row[2] is None for row in rows] == [False, True, True, True, True]
    assert [row[3] for row in rows] == ["1.50", None, "-1.00", "0.00", None]
    assert [row[4] for row in rows] == ['{"n":1}', None, "[]", None, None]


@pytest.mark.parametrize(("allowed", "kept"), [(0, 1), (4, 5)])
def test_one_more_than_the_limit_stops_the_run_and_says_which(
    odd: None, pipeline: Pipeline, start: Start, allowed: int, kept: int
) -> None:
    limit(pipeline, allowed)
    run = execute(start())
    assert (run.status, run.error_code) == (RunStatus.FAILED, "quarantine_full")
    assert "quarantine_limit" in run.error
    assert "day: infinite, at least 1" in run.error
    assert len(entries(run)) == kept
    table = run.tables.get()
    assert (table.quarantined, table.rows_in_target) == (kept, None)
    assert table.table.watermark is None


def test_run_after_the_limit_was_raised_moves_everything_and_counts_once(
    odd: None, pipeline: Pipeline, start: Start, lake: Any, target_table: str
) -> None:
    execute(start())
    limit(pipeline, 9)
    run = execute(start())
    assert (run.status, entries(run)) == (RunStatus.SUCCEEDED, BAD)
    assert len(target(lake, target_table)) == 5


def test_corrected_value_arrives_with_the_next_run(
    odd: None, pipeline: Pipeline, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    limit(pipeline, 5)
    first = execute(start())
    vault.execute("UPDATE records SET price = 7 WHERE id = 2")
    second = execute(start())
    assert (second.tables.get().rows, entries(second)) == (1, BAD[:1])
    assert target(lake, target_table)[1][3] == "7.00"
    assert entries(first) == BAD


def test_bad_value_in_the_key_stops_the_run_whatever_the_limit(
    vault: Vault, pipeline: Pipeline, start: Start
) -> None:
    vault.execute("CREATE TABLE records (day date PRIMARY KEY, word text)")
    vault.execute("INSERT INTO records VALUES ('infinity', 'x')")
    limit(pipeline, 100)
    run = execute(start())
    assert (run.status, run.error_code) == (RunStatus.FAILED, "data_error")
    assert "day of the primary key" in run.error
    assert entries(run) == []


def test_reading_that_is_not_loaded_shows_nothing_and_does_not_count_twice(
    odd: None, pipeline: Pipeline, start: Start, lake: Any, target_table: str
) -> None:
    limit(pipeline, 5)
    lake.cursor().execute(f'CREATE TABLE "{target_table}" (ANOTHER DATE)')
    failed = execute(start())
    assert (failed.error_code, failed.tables.get().step) == ("schema_changed", Step.LOADING)
    assert QuarantinedValue.objects.count() == 5
    assert entries(failed) == []
    lake.cursor().execute(f'DROP TABLE "{target_table}"')
    run = execute(start())
    assert (run.status, entries(run), run.tables.get().quarantined) == ("succeeded", BAD, 5)


def test_reading_a_chunk_again_replaces_what_it_had_taken_out(
    odd: None, pipeline: Pipeline, start: Start
) -> None:
    limit(pipeline, 5)
    run = execute(start())
    table = run.tables.get()
    entry = Quarantined({"id": "9"}, "day", Reason.INFINITE, "infinity")
    quarantine.keep(table, [entry, entry], chunk=1)
    quarantine.keep(table, [entry], chunk=1)
    assert (len(entries(run)), table.quarantined) == (6, 6)
    quarantine.keep(table, [])
    assert [column for _, column, _, _ in entries(run)] == ["day"]


# Over the API


def test_quarantine_is_shown_to_those_who_may_query(
    odd: None, client_of: Clients, team: Team, pipeline: Pipeline, start: Start
) -> None:
    limit(pipeline, 5)
    run = execute(start())
    root = f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"
    url = f"{root}runs/{run.pk}/quarantine/"
    codes = {who: client_of(who).get(url).status_code for who in "alice bob vera charlie".split()}
    assert codes == {"alice": 200, "bob": 200, "vera": 403, "charlie": 404}
    page = client_of("alice").get(f"{url}?page_size=2").json()
    assert len(page["results"]) == 2
    assert page["results"][0]["table"] == "public.records"
    shown = client_of("alice").get(url).json()["results"]
    found = [(e["key"], e["column"], e["reason"], e["text"]) for e in shown]
    assert sorted(found, key=lambda e: (e[0]["id"], e[1])) == BAD
    tables = client_of("vera").get(f"{root}runs/").json()["results"][0]["tables"]
    assert tables[0]["quarantined"] == 5


def test_run_of_another_pipeline_is_not_found(
    odd: None, alice: APIClient, team: Team, other_team: Team, pipeline: Pipeline, start: Start
) -> None:
    run = execute(start())
    other = pipelines.create(
        Pipeline(
            team=team,
            name="other",
            source=pipeline.source,
            destination=pipeline.destination,
            destination_schema=pipeline.destination_schema,
            stage=pipeline.stage,
        ),
        [pipelines.TableSpec("public", "others")],
    )
    root = f"/api/environments/{team.pk}/pipelines/"
    assert alice.get(f"{root}{other.pk}/runs/{run.pk}/quarantine/").status_code == 404
    away = f"/api/environments/{other_team.pk}/pipelines/{pipeline.pk}/runs/{run.pk}/quarantine/"
    assert alice.get(away).status_code == 404


@pytest.mark.parametrize("value", [-1, 1_000_001, "many", None])
def test_limit_that_is_none_is_refused(
    alice: APIClient, team: Team, pipeline: Pipeline, value: Any
) -> None:
    one = f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"
    answer = alice.patch(one, {"quarantine_limit": value})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["quarantine_limit"])
    assert alice.patch(one, {"quarantine_limit": 7}).json()["quarantine_limit"] == 7
