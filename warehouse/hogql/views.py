"""How far a query has gone into views: they end, and none reads itself."""

from dataclasses import dataclass, field

from warehouse.hogql.errors import HogQLTooComplex, ViewCycle
from warehouse.hogql.source import Place

MAX_DEPTH = 16
MAX_READ = 100
"""Views that one query may read, each as often as it is named."""


@dataclass(frozen=True)
class Views:
    """``path``: the views that a text stands in, outermost first; ``read``: all that were read."""

    path: tuple[str, ...] = ()
    read: list[str] = field(default_factory=list)

    def entered(self, name: str, place: Place) -> "Views":
        """Inside that view. Raises ViewCycle, HogQLTooComplex."""
        path = (*self.path, name)
        if name in self.path:
            way = " → ".join(path[self.path.index(name) :])
            raise ViewCycle(f"The view {name} reads itself: {way}.", place)
        self.read.append(name)
        if len(path) > MAX_DEPTH or len(self.read) > MAX_READ:
            raise HogQLTooComplex(
                "The query reads too many views of views.",
                place,
                hint=f"Have some of them materialized, {name} for example.",
            )
        return Views(path, self.read)
