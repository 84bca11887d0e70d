"""A load is cut off after each thing it does and done again: nothing is lost, nothing doubled."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connectors.types import LoadMode, Manifest
from tests.destinations.conftest import Staged
from tests.destinations.end import End, Row
from tests.destinations.ends import ENDS, Snowflake

EVERY = range(40)
"""More than any load of these tests does."""


class Killed(BaseException):
    """The worker is no more."""


# Snowflake's loads are cut off in tests/connectors_snowflake, where it does more at once.
@pytest.mark.parametrize("end", [end for end in ENDS if end is not Snowflake], indirect=True)
@pytest.mark.parametrize("mode", LoadMode)
def test_load_is_whole_whatever_is_cut_off(end: End, staged: Staged, mode: LoadMode) -> None:
    if mode not in end.modes:
        pytest.skip(f"{end.provider} does not load in mode {mode}.")
    before: list[Row] = []
    for after in EVERY:
        manifest, rows = _next(staged, mode, after, before)
        target = end.target(mode=mode, fence=2 * after)
        worker = end.connect()
        happened = end.cut_off(worker, after, Killed())
        try:
            worker.load(manifest, target, staged.stage)
        except Killed:
            assert end.rows() in (before, rows), f"after {after}"
        assert happened() or end.rows() == rows
        # Whose process is gone has no session either.
        end.close()
        end.connect().load(manifest, replace(target, fence=2 * after + 1), staged.stage)
        assert end.rows() == rows, f"after {after}"
        assert len(end.ledger()) == after + 1
        before = rows
        if not happened():
            break
    assert 4 <= after < max(EVERY)


def _next(
    staged: Staged, mode: LoadMode, number: int, before: Sequence[Row]
) -> tuple[Manifest, list[Row]]:
    """A load, and what the target holds after it."""
    rows = [(number * 10 + n, f"of {number}") for n in range(3)]
    if mode is LoadMode.SWAP:
        return staged(rows), rows
    if mode is LoadMode.APPEND:
        return staged(rows[:1], rows[1:]), [*before, *rows]
    gone = [rows[1][:1], (rows[2][0] - 10,)]
    kept = [row for row in [*before, *rows] if row[:1] not in gone]
    return staged.changes((0, rows, []), (1, [], gone)), kept
