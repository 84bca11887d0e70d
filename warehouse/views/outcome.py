"""What a refresh of a view has come to, wherever its rows are kept."""

from dataclasses import dataclass
from typing import Any

from connectors.types import RunStats
from warehouse.errors import NotMaterialized, ViewReplaced
from warehouse.models import View


@dataclass(frozen=True)
class Refreshed:
    """``rows_computed`` are those that the query gave; the others were there and are as before.
    ``estimate`` is what it was to cost, as ``accounts.estimated`` has it."""

    mode: str
    is_incremental: bool
    rows: int
    rows_computed: int
    stats: RunStats
    estimate: dict[str, Any]


def keep(view: View, **values: Any) -> None:
    """Say in the view's row what is kept of it. Raises ViewReplaced where its query, or the place
    of its rows, is another by now, and NotMaterialized."""
    to_keep = View.objects.for_team(view.team).filter(pk=view.pk, is_materialized=True)
    if not to_keep.filter(query=view.query, **view.place).update(**values):
        raise ViewReplaced() if to_keep.exists() else NotMaterialized()
