"""`manage.py load_events`: every event of a file, once."""

import gzip
import json
import re
import uuid
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from tests.events.conftest import Rows
from tests.store.running import Engine
from warehouse.events import files, loading
from warehouse.events.items import person_id
from warehouse.events.loading import Loaded
from warehouse.models import Team

pytestmark = pytest.mark.django_db
COUNT = "SELECT count() FROM events"


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "uuid": str(uuid.UUID(int=number)),
        "event": "$pageview",
        "distinct_id": f"user_{number % 3}",
        "timestamp": f"2026-01-{number % 28 + 1:02}T12:00:00.000001Z",
        "properties": {"$browser": "Firefox", "n": number},
        **more,
    }


def jsonl(path: Path, items: list[Any]) -> Path:
    text = "".join(f"{item if isinstance(item, str) else json.dumps(item)}\n" for item in items)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def load(team: Team, path: Path, *options: str) -> str:
    out = StringIO()
    call_command("load_events", str(path), "--team", str(team.pk), *options, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_every_line_becomes_an_event(
    store: Engine, team: Team, tmp_path: Path, rows: Rows, name: str
) -> None:
    said = load(team, jsonl(tmp_path / name, [event(n) for n in range(10)]))
    assert said.endswith("10 events loaded.\n")
    assert rows("SELECT uuid, event, timestamp, distinct_id, properties FROM events LIMIT 1") == [
        [
            "00000000-0000-0000-0000-000000000000",
            "$pageview",
            "2026-01-01T12:00:00.000001Z",
            "user_0",
            '{"$browser":"Firefox","n":0}',
        ]
    ]
    assert rows(COUNT) == [[10]]


def test_a_file_that_is_loaded_again_doubles_nothing(
    store: Engine, team: Team, tmp_path: Path, rows: Rows
) -> None:
    items = [event(n) for n in range(10)]
    for item in items[:5]:
        del item["uuid"]
    file = jsonl(tmp_path / "events.jsonl", items)
    load(team, file)
    load(team, jsonl(tmp_path / "half.jsonl", items[:7]))
    load(team, file)
    assert rows(COUNT) == [[10]]
    assert rows("SELECT count() FROM events AS a JOIN events AS b ON a.uuid = b.uuid") == [[10]]


def test_a_load_that_was_killed_is_finished_by_another(
    store: Engine, team: Team, tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PART", 4)
    file = jsonl(tmp_path / "events.jsonl", [event(n) for n in range(10)])

    def killed(so_far: Loaded) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loading.load_events(team.pk, file, killed)
    assert rows(COUNT) == [[4]]
    assert load(team, file).endswith("10 events loaded.\n")
    assert rows(COUNT) == [[10]]


BAD = [
    ("{", "This is no JSON."),
    ([1], "This is no JSON object."),
    (event(1, timestamp=None), "timestamp: Say when it happened."),
    (event(1, timestamp="soon"), "timestamp: Give a time in ISO 8601"),
    (event(1, colour="red"), "colour: There is no such field."),
    ('{"event": "x' + "x" * files.MAX_LINE_BYTES + '"}', "This has more than 4,000,000 bytes."),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_line_is_refused_with_its_number(
    store: Engine, team: Team, tmp_path: Path, rows: Rows, bad: Any, reason: str
) -> None:
    file = jsonl(tmp_path / "events.jsonl", [event(1), bad, event(2)])
    with pytest.raises(CommandError, match=re.escape(f"file_unfit: Line 2: {reason}")):
        load(team, file)
    said = load(team, file, "--skip-bad")
    assert said.startswith(f"Line 2: {reason}")
    assert said.endswith("2 events loaded, 1 bad lines left out.\n")
    assert rows(COUNT) == [[2]]


def test_parquet_is_read_as_its_types_say(
    store: Engine, team: Team, tmp_path: Path, rows: Rows
) -> None:
    found = pa.table(
        {
            "uuid": [str(uuid.UUID(int=n)) for n in range(3)],
            "event": ["a", "b", "c"],
            "distinct_id": ["u1", "u2", "u3"],
            "timestamp": pa.array(
                [datetime(2026, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")
            ),
            "properties": ['{"plan": "pro"}', None, "{}"],
        }
    )
    file = tmp_path / "events.parquet"
    pq.write_table(found, file)
    assert load(team, file).endswith("3 events loaded.\n")
    assert rows("SELECT event, properties.plan FROM events ORDER BY event") == [
        ["a", "pro"],
        ["b", None],
        ["c", None],
    ]
    pq.write_table(found.drop_columns("uuid"), file)
    for _ in range(2):
        load(team, file)
    assert rows(COUNT) == [[6]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no.jsonl", None),
        ("cut.jsonl.gz", gzip.compress(b"{}" * 100, mtime=0)[:-9]),
        ("x.parquet", b"no"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    store: Engine, team: Team, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=f"file_unfit: {name} cannot be read: "):
        load(team, tmp_path / name)


def test_of_a_person_the_greater_version_stands(
    store: Engine, team: Team, tmp_path: Path, rows: Rows
) -> None:
    ann = {"id": str(uuid.UUID(int=1)), "distinct_ids": ["u1", "u2"]}
    items = [
        {**ann, "properties": {"plan": "pro"}, "version": 2},
        {**ann, "properties": {"plan": "free"}, "version": 1},
        {"distinct_ids": ["u3"], "created_at": "2026-01-31"},
    ]
    file = jsonl(tmp_path / "persons.jsonl", items)
    for _ in range(2):
        assert load(team, file, "--persons").endswith("3 persons loaded.\n")
    assert rows("SELECT properties.plan, id FROM persons ORDER BY properties.plan") == [
        ["pro", ann["id"]],
        [None, person_id(team.pk, "u3")],
    ]
    assert rows("SELECT count() FROM person_distinct_ids") == [[3]]


@pytest.mark.parametrize("name", ["acme", str(uuid.UUID(int=0))])
def test_a_team_that_is_not_there_is_told(
    store: Engine, db: None, tmp_path: Path, name: str
) -> None:
    with pytest.raises(CommandError, match=name):
        call_command("load_events", str(tmp_path), "--team", name)
