"""Two workers load into one table of the store: whoever has the greater fence wins."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import LoadSuperseded
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest
from tests.store.files import Files
from tests.store.running import Engine
from warehouse.store import client, names
from warehouse.store.load.loader import StoreLoad

TEAM = "load-race"
Load = Callable[..., LoadOutcome]


@pytest.fixture
def load(store: Engine, tmp_path: Path) -> Iterator[Load]:
    """Loads one row whose value is the fence, by a loader."""
    files = Files(tmp_path)

    def made(fence: int, loader: StoreLoad | None = None) -> LoadOutcome:
        table = pa.table({"id": pa.array([fence], pa.int64())})
        file = files.add(table, f"{fence}.parquet")
        manifest = Manifest(f"load-{fence}", "", (file,), table.schema, ("id",))
        target = LoadTarget("", "t", stage="", fence=fence, mode=LoadMode.MERGE)
        return (loader or StoreLoad(TEAM)).load(manifest, target, files)

    yield made
    client.drop_database(TEAM)


def ids() -> list[int]:
    place = f"{names.quote(names.database(TEAM))}.t"
    found: list[int] = (
        client.owner().query(f"SELECT id FROM {place} ORDER BY id").read_all()["id"].to_pylist()
    )
    return found


def tables() -> list[str]:
    params = {"database": names.database(TEAM)}
    asked = "SELECT name FROM system.tables WHERE database = {database:String}"
    found: list[str] = client.owner().query(asked, params).read_all()["name"].to_pylist()
    return found


def held_before(loader: StoreLoad, what: str, meanwhile: Callable[[], Any]) -> StoreLoad:
    """The loader, which lets others work before its first statement of a kind."""
    run, hand = loader._hand.run, loader._hand

    def wait(statement: str) -> None:
        if statement.startswith(what):
            hand.run = run  # type: ignore[method-assign]
            meanwhile()
        run(statement)

    hand.run = wait  # type: ignore[method-assign]
    return loader


@pytest.mark.parametrize("is_there", [False, True], ids=["first", "next"])
@pytest.mark.parametrize("what", ["CREATE TABLE", "INSERT", "RENAME", "EXCHANGE", "ALTER"])
def test_older_one_that_wakes_up_late_changes_nothing(
    load: Load, what: str, is_there: bool
) -> None:
    before = [1] if is_there and load(1) else []
    older = held_before(StoreLoad(TEAM), what, lambda: load(3))
    try:
        load(2, older)
    except LoadSuperseded:
        assert ids() == [*before, 3]
    else:
        # It has none of these statements, so it was never held.
        assert ids() == [*before, 2]
        load(3)
    assert tables() == ["t"]


@pytest.mark.parametrize("what", ["CREATE TABLE", "INSERT", "ALTER", "EXCHANGE"])
def test_newer_one_loses_nothing_of_an_older_one_that_was_first(load: Load, what: str) -> None:
    load(1)

    def meanwhile() -> None:
        # The newer has announced itself by then, or sees what this one has done.
        try:
            load(2)
        except LoadSuperseded:
            refused.append(2)

    refused: list[int] = []
    load(3, held_before(StoreLoad(TEAM), what, meanwhile))
    assert ids() == sorted({1, 2, 3} - set(refused))
    assert tables() == ["t"]
