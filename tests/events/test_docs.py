"""docs/events.md is true: its lines can be loaded, and its bounds are those of the code."""

import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

from warehouse.events import batch, files, items, loading

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_its_lines_can_be_loaded() -> None:
    (lines,) = (text for kind, text in BLOCKS if kind == "json")
    event, person = map(json.loads, lines.splitlines())
    now = datetime.now(UTC)
    assert items.event_of(event).event == "$pageview"
    assert items.person_of(person, now, uuid.uuid4()).version == 1


def test_its_batch_can_be_sent() -> None:
    (sent,) = re.findall(r"events/ -d '(.*?)'$", PAGE, re.MULTILINE | re.DOTALL)
    for item in json.loads(sent)["batch"]:
        items.event_of(item, datetime.now(UTC))


def test_it_has_the_bounds() -> None:
    assert f"from {items.FIRST.year} to {items.LAST.year}" in PAGE
    assert f"{files.MAX_LINE_BYTES:,} bytes at most" in PAGE
    assert f"an event {items.MAX_PROPERTIES_BYTES:,}, names {items.MAX_NAME_CHARS} char" in PAGE
    assert f"{loading.PART:,} rows or {loading.PART_BYTES // 2**20} MB" in PAGE
    assert f"At most {batch.MAX_EVENTS:,} events" in PAGE
