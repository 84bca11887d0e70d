"""docs/connectors.md is true: its Python runs, and its tables say what the classes say."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.registry import names, provider

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docs" / "connectors.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
ROWS = 1_000_000


@pytest.fixture(scope="module")
def events(endpoints: dict[str, Any]) -> Iterator[None]:
    """The table that the page speaks of."""
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE public.events AS SELECT id, 'click' AS kind, now() AS at "
            f"FROM generate_series(1, {ROWS}) AS id"
        )
        yield
        owner.execute("DROP TABLE public.events")


@pytest.fixture
def folder(events: None, credentials: dict[str, Any], tmp_path: Path) -> Path:
    """A folder to work in, with credentials as the page has them."""
    (tmp_path / "postgres.json").write_text(json.dumps(credentials["postgres"]))
    return tmp_path


def run(block: str, folder: Path) -> str:
    """What a block of the page prints, as a script of its own."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_lines_list_tables_and_stream_a_million_rows(folder: Path) -> None:
    tables, rows = run(BLOCKS[0], folder).splitlines()
    assert "'events'" in tables
    assert int(rows) == ROWS


def test_every_verb_works_as_shown(folder: Path) -> None:
    lines = run(BLOCKS[1], folder).splitlines()
    assert [line.split(" ")[0] for line in lines[:2]] == ["resolve", "network"]
    assert any(line.startswith("10 True ") for line in lines)
    assert any(line.startswith("sql_refused False ") for line in lines)


def test_forms_and_grants_are_printed(tmp_path: Path) -> None:
    printed = run(BLOCKS[2], tmp_path)
    assert len(BLOCKS) == 3
    for name in names():
        assert provider(name).grants in printed


def test_ways_to_sign_in_are_those_of_the_classes() -> None:
    shown = set(re.findall(r"^\| (\w+) \| (.+?) \| (`.+`) \|$", TEXT, re.MULTILINE))
    assert shown == {
        (name, way.title, ", ".join(f"`{field}`" for field in way.needs))
        for name in names()
        for way in provider(name).credentials_model.sign_ins
    }


def test_every_provider_that_runs_queries_has_a_table_of_types() -> None:
    for name in names():
        if not provider(name).capabilities.dialect:
            continue
        files = [
            CHECKOUT / f"connectors/{path}" for path in (f"providers/{name}.py", f"{name}/types.py")
        ]
        heads = "".join(path.read_text().split('"""')[1] for path in files if path.exists())
        assert re.search(r"Arrow.*exact", heads), name
        assert "DATE" in heads.upper(), name
