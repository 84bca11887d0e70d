"""A host whose events lie in tables of its own: they are read there, and not written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from tests.api.shapes import problem
from tests.events.conftest import Ask, Rows
from tests.store.running import Engine
from warehouse.models import Team
from warehouse.store import client

pytestmark = pytest.mark.django_db
IDS = "00000000-0000-0000-0000-00000000000{}"


@pytest.fixture
def host(store: Engine, settings: Any, team: Team, other_team: Team) -> Iterator[None]:
    """A database beside those of teams, with two teams' rows in each table."""
    owner = client.owner()
    for statement in (
        "CREATE DATABASE analytics",
        "CREATE TABLE analytics.events (team_id UUID, uuid UUID, event String, distinct_id String, "
        "timestamp DateTime64(6, 'UTC'), properties String, created_at DateTime64(6, 'UTC'), "
        "elements_chain String, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY (team_id, uuid)",
        "CREATE TABLE analytics.persons (team_id UUID, id UUID, properties String, created_at "
        "DateTime64(6, 'UTC'), version UInt64) ENGINE = ReplacingMergeTree(version) "
        "ORDER BY (team_id, id)",
        "CREATE TABLE analytics.person_ids (team_id UUID, distinct_id String, person_id UUID, "
        "version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY (team_id, distinct_id)",
    ):
        owner.command(statement)
    for of, name in ((team, "ours"), (other_team, "theirs")):
        for version in (1, 2):
            owner.command(
                f"INSERT INTO analytics.events VALUES ('{of.pk}', '{IDS.format(1)}', '{name}', "
                f"'u', '2026-01-01', '{{\"of\":\"{name}\"}}', '2026-01-01', '', {version})"
            )
        owner.command(
            f"INSERT INTO analytics.persons VALUES ('{of.pk}', '{IDS.format(2)}', "
            f"'{{\"name\":\"{name}\"}}', '2026-01-01', 1)"
        )
        owner.command(
            f"INSERT INTO analytics.person_ids VALUES ('{of.pk}', 'u', '{IDS.format(2)}', 1)"
        )
    settings.WAREHOUSE_EVENTS_TABLE = "analytics.events"
    settings.WAREHOUSE_PERSONS_TABLE = "analytics.persons"
    settings.WAREHOUSE_PERSON_IDS_TABLE = "analytics.person_ids"
    yield
    owner.command("DROP DATABASE analytics SYNC")


def test_a_team_reads_its_own_rows_of_them(host: None, rows: Rows) -> None:
    assert rows("SELECT event, properties.of, person.properties.name AS name FROM events") == [
        ["ours", "ours", "ours"]
    ]
    assert rows("SELECT count() FROM persons") == [[1]]


def test_the_hosts_own_names_are_out_of_reach(host: None, ask: Ask) -> None:
    problem(ask("SELECT count() FROM analytics.events"), 400, "hogql_unknown_name")
    problem(ask("SELECT elements_chain FROM events"), 400, "hogql_unknown_name")


def test_nothing_is_written_into_them(
    host: None, alice: APIClient, team: Team, tmp_path: Path
) -> None:
    body = {"batch": [{"event": "signup", "distinct_id": "u"}]}
    answer = alice.post(f"/api/environments/{team.pk}/events/", body, "json")
    problem(answer, 400, "table_mapped")
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(CommandError, match=r"table_mapped: .*analytics\.events"):
        call_command("load_events", str(tmp_path / "events.jsonl"), "--team", str(team.pk))


def test_tables_of_ours_stay_beside_them(
    store: Engine, settings: Any, alice: APIClient, team: Team, rows: Rows, request: Any
) -> None:
    body = {"batch": [{"event": "kept", "distinct_id": "u"}]}
    assert alice.post(f"/api/environments/{team.pk}/events/", body, "json").status_code == 200
    request.getfixturevalue("host")
    assert rows("SELECT event FROM events") == [["ours"]]
    settings.WAREHOUSE_EVENTS_TABLE = ""
    assert rows("SELECT event FROM events") == [["kept"]]
