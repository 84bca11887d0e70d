"""Whole runs into every destination: rows, changes, deletes, and values that do not fit."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from connectors import NetworkPolicy
from connectors.errors import InvalidInput
from connectors.types import LoadMode
from etl import changes, pipelines, quarantine, runner
from etl.models import Pipeline, PipelineRun, PipelineTable, ReadMode, RunStatus, TableRun, Trigger
from etl.pipelines import TableSpec
from tests.destinations.end import End
from tests.destinations.ends import ENDS, S3, Snowflake, Store
from tests.etl.compare import Vault
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

# Snowflake is the destination of all other tests here, and the store of those in test_sync.
OTHERS = [end for end in ENDS if end not in (Snowflake, Store)]
MERGING = [end for end in OTHERS if LoadMode.MERGE in end.modes]
Make = Callable[..., Pipeline]


@pytest.fixture(params=OTHERS, ids=lambda end: end.provider)
def end(
    request: pytest.FixtureRequest, endpoints: dict[str, Any], network: NetworkPolicy, team: Team
) -> Iterator[End]:
    kind: type[End] = request.param
    made = kind(endpoints, network, str(team.pk))
    made.make()
    yield made
    made.drop()


@pytest.fixture
def make(
    team: Team,
    source: WarehouseConnection,
    end: End,
    endpoints: dict[str, Any],
    credentials: dict[str, Any],
    vault: Vault,
) -> Iterator[Make]:
    """public.orders with three rows, and the pipeline that moves it in a mode."""

    def made(mode: str, **others: Any) -> Pipeline:
        vault.execute("CREATE TABLE orders (id int PRIMARY KEY, word text, doc jsonb)")
        vault.execute("INSERT INTO orders SELECT i, 'w' || i, NULL FROM generate_series(1, 3) i")
        reader = source
        if mode == ReadMode.CDC:
            # Following a table takes its owner, with REPLICATION.
            user = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
            form = credentials["postgres"] | {name: user[name] for name in ("user", "password")}
            draft = Draft.of(name="log", provider="postgres", credentials=form)
            reader = connections.create(team, None, draft)
        draft = Draft.of(name="end", provider=end.provider, credentials=end.form())
        given = {
            "team": team,
            "name": uuid.uuid4().hex,
            "source": reader,
            "destination": connections.create(team, None, draft),
            "destination_schema": end.schema,
            "stage": end.stage(),
        }
        pipeline = Pipeline(**given | others)
        return pipelines.create(pipeline, [TableSpec("public", "orders", "orders", mode)])

    yield made
    # The source keeps nothing in the end.
    PipelineTable.objects.all().delete()
    changes.look()


def run(pipeline: Pipeline) -> tuple[PipelineRun, TableRun]:
    ended = runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert ended is not None
    return ended, ended.tables.get()


def succeed(pipeline: Pipeline) -> TableRun:
    ended, table = run(pipeline)
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    return table


@pytest.mark.parametrize("end", MERGING, indirect=True, ids=lambda end: end.provider)
def test_next_run_moves_only_what_is_new_or_changed(end: End, make: Make, vault: Vault) -> None:
    pipeline = make(ReadMode.XID)
    assert succeed(pipeline).rows_in_target == 3
    vault.execute("UPDATE orders SET word = 'changed' WHERE id = 2")
    vault.execute("INSERT INTO orders VALUES (4, 'new', '{\"a\": 1}')")
    table = succeed(pipeline)
    assert (table.rows, table.rows_in_target) == (2, 4)
    assert end.rows() == [
        *[(1, "w1", None), (2, "changed", None), (3, "w3", None), (4, "new", {"a": 1})]
    ]
    assert len(end.ledger()) == 2


@pytest.mark.parametrize("end", MERGING, indirect=True, ids=lambda end: end.provider)
def test_changes_and_deletes_come_from_the_log(end: End, make: Make, vault: Vault) -> None:
    pipeline = make(ReadMode.CDC)
    succeed(pipeline)
    vault.execute("DELETE FROM orders WHERE id = 1")
    vault.execute("UPDATE orders SET id = 5 WHERE id = 2")
    vault.execute("INSERT INTO orders VALUES (6, 'new', NULL)")
    table = succeed(pipeline)
    assert (table.rows, table.rows_in_target) == (4, 3)
    assert end.rows() == [(3, "w3", None), (5, "w2", None), (6, "new", None)]
    vault.execute("TRUNCATE orders")
    vault.execute("INSERT INTO orders VALUES (7, 'anew', NULL)")
    succeed(pipeline)
    assert end.rows() == [(7, "anew", None)]


def test_full_puts_all_rows_in_place_of_those_there(end: End, make: Make, vault: Vault) -> None:
    pipeline = make(ReadMode.FULL)
    succeed(pipeline)
    vault.execute("DELETE FROM orders WHERE id < 3")
    assert succeed(pipeline).rows_in_target == 1
    assert end.rows() == [(3, "w3", None)]


def test_schema_drift_is_followed(end: End, make: Make, vault: Vault) -> None:
    pipeline = make(ReadMode.FULL)
    succeed(pipeline)
    vault.execute("ALTER TABLE orders ADD COLUMN more int DEFAULT 7")
    assert "more" in succeed(pipeline).drift
    assert end.rows()[0] == (1, "w1", None, 7)


@pytest.mark.parametrize(
    "end",
    [end for end in OTHERS if not end.holds_any_json],
    indirect=True,
    ids=lambda end: end.provider,
)
def test_value_that_does_not_fit_is_put_into_quarantine(end: End, make: Make, vault: Vault) -> None:
    pipeline = make(ReadMode.FULL)
    succeed(pipeline)
    vault.execute("UPDATE orders SET doc = %s WHERE id = 2", ['{"n": ' + "9" * 40 + "}"])
    ended, _ = run(pipeline)
    assert (ended.status, ended.error_code) == (RunStatus.FAILED, "quarantine_full")
    assert end.rows() == [(1, "w1", None), (2, "w2", None), (3, "w3", None)]
    pipelines.update(pipeline, {"quarantine_limit": 1})
    ended, table = run(pipeline)
    assert (ended.status, table.quarantined) == (RunStatus.SUCCEEDED, 1)
    assert end.rows()[1] == (2, "w2", None)
    (value,) = quarantine.shown(ended)
    assert (value.key, value.column, value.reason) == ({"id": "2"}, "doc", "json_number")


def test_stage_is_checked_by_what_the_destination_needs(end: End, make: Make) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(ReadMode.FULL, stage="not a way to the bucket")
    assert list(caught.value.fields) == ["stage"]


@pytest.mark.parametrize("mode", [ReadMode.XID, ReadMode.CDC])
@pytest.mark.parametrize(
    "end",
    [end for end in OTHERS if LoadMode.MERGE not in end.modes],
    indirect=True,
    ids=lambda end: end.provider,
)
def test_mode_that_has_to_be_merged_is_refused_where_nothing_is_merged(
    end: End, make: Make, mode: str
) -> None:
    refused = {
        "tables": f"{end.provider} cannot merge rows, which mode {mode} needs; use mode full."
    }
    with pytest.raises(InvalidInput) as caught:
        make(mode)
    assert caught.value.fields == refused


def test_pipeline_of_merged_tables_does_not_move_to_where_nothing_is_merged(
    pipeline: Pipeline, team: Team, endpoints: dict[str, Any], network: NetworkPolicy
) -> None:
    form = S3(endpoints, network, str(team.pk)).form()
    draft = Draft.of(name="bucket", provider="s3", credentials=form)
    moved = {"destination": connections.create(team, None, draft), "stage": ""}
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, moved)
    assert list(caught.value.fields) == ["tables"]
