"""A load is cut off after each statement and done again: nothing is lost, nothing doubled.

After a statement that only reads everything is as before it, so those are not counted.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors import Connector
from connectors.errors import ConnectionLost
from connectors.types import LoadMode, LoadTarget, Manifest
from tests.connectors_snowflake.load.loads import Look, Stage

Open = Callable[..., Connector]
EVERY = range(40)
"""More statements than any load of these tests has."""
READS = ("SELECT", "SHOW")


class Killed(BaseException):
    """The worker is no more."""


class CutOff:
    """Runs a worker's statements, and raises instead of the answer to one that writes."""

    def __init__(self, worker: Any, after: int, fault: type[BaseException]) -> None:
        self._run = worker._run
        self._fault = fault
        self._left = after + 1
        worker._run = self

    @property
    def happened(self) -> bool:
        return self._left <= 0

    def __call__(self, sql: str, *rest: Any, **named: Any) -> Any:
        if self.happened and self._fault is Killed:
            # Nor does it roll back: its session stays as it is.
            raise Killed
        answer = self._run(sql, *rest, **named)
        if not sql.startswith(READS):
            self._left -= 1
            if self._left == 0:
                raise self._fault
        return answer


def merged(stage: Stage, number: int) -> tuple[Manifest, dict[int, str]]:
    """Rows, then deletes: of one of them, and of one that the load before has brought."""
    ids = [number * 10 + n for n in range(3)]
    rows = dict.fromkeys(ids, f"of {number}")
    manifest = stage.changes(
        (0, list(rows.items()), []), (1, [], [ids[1], ids[2] - 10]), folder=f"run-{number}"
    )
    del rows[ids[1]]
    return manifest, rows


@pytest.mark.parametrize("fault", [ConnectionLost, Killed])
def test_merge_with_orders_and_deletes_is_whole_whatever_is_cut_off(
    open_one: Open, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, fault: Any
) -> None:
    expected: dict[int, str] = {}
    for after in EVERY:
        manifest, rows = merged(stage, after + 1)
        # The third key of the load before is deleted by this one.
        expected.pop(after * 10 + 2, None)
        expected |= rows
        ended = cut_off_and_done_again(open_one, manifest, target, after, fault)
        assert stored() == sorted(expected.items()), f"after statement {after}"
        assert len(ledger()) == after + 1
        if ended:
            break
    assert after >= 12


@pytest.mark.parametrize("fault", [ConnectionLost, Killed])
def test_comparison_of_keys_is_whole_whatever_is_cut_off(
    open_one: Open, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, fault: Any
) -> None:
    allowing = replace(target, delete_limit_percent=100)
    before: list[tuple[int, str]] = []
    for after in EVERY:
        rows = [(after, "new"), (after + 1, "new")]
        manifest = stage.compared(stage(rows, folder=f"run-{after}"), after, after + 1)

        def look(rows: Any = rows, before: Any = before) -> None:
            assert stored() in (before, rows)

        ended = cut_off_and_done_again(
            open_one, manifest, allowing, after, fault, look if before else None
        )
        assert stored() == rows, f"after statement {after}"
        assert len(ledger()) == after + 1
        if ended:
            break
        before = rows
    assert after >= 12


@pytest.mark.parametrize("fault", [ConnectionLost, Killed])
def test_append_is_whole_whatever_is_cut_off(
    open_one: Open, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, fault: Any
) -> None:
    expected = []
    for after in EVERY:
        rows = [(after, "a"), (after, "a")]
        expected += rows
        manifest = stage(rows, key=(), folder=f"run-{after}")
        adding = replace(target, mode=LoadMode.APPEND)
        ended = cut_off_and_done_again(open_one, manifest, adding, after, fault)
        assert stored() == expected, f"after statement {after}"
        assert len(ledger()) == after + 1
        if ended:
            break
    assert after >= 9


@pytest.mark.parametrize("fault", [ConnectionLost, Killed])
def test_swap_is_whole_whatever_is_cut_off(
    open_one: Open, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, fault: Any
) -> None:
    before: list[tuple[int, str]] = []
    for after in EVERY:
        rows = [(after, "a"), (after + 1, "b")]
        manifest = stage(rows, folder=f"run-{after}")
        whole = replace(target, mode=LoadMode.SWAP)

        def look(rows: Any = rows, before: Any = before) -> None:
            assert stored() in (before, rows)

        ended = cut_off_and_done_again(
            open_one, manifest, whole, after, fault, look if before else None
        )
        assert stored() == rows, f"after statement {after}"
        assert len(ledger()) == after + 1
        if ended:
            break
        before = rows
    assert after >= 10


def cut_off_and_done_again(
    open_one: Open,
    manifest: Manifest,
    target: LoadTarget,
    after: int,
    fault: type[BaseException],
    look: Callable[[], None] | None = None,
) -> bool:
    """Load, cut off after so many statements, and again; true when the load had no more.

    ``look`` is called in between.
    """
    worker: Any = open_one()
    cut = CutOff(worker, after, fault)
    try:
        worker.load(manifest, replace(target, fence=2 * after))
    except fault:
        assert cut.happened
    if look:
        look()
    # Whoever was only interrupted tries again itself; for the dead another worker does.
    successor: Any = worker if cut.happened and fault is not Killed else open_one()
    successor.load(manifest, replace(target, fence=2 * after + 1))
    return not cut.happened
