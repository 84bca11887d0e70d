"""Expressions of a list, found again by what they say."""

from collections.abc import Iterable

from warehouse.hogql import tree
from warehouse.hogql.resolved import Resolved, same


class Listed:
    """As ``same`` has it. Columns are found by their names: there may be thousands."""

    def __init__(self, exprs: Iterable[tree.Expr]) -> None:
        self._columns: dict[tuple[str, str], int] = {}
        self._others: list[tuple[int, tree.Expr]] = []
        for place, one in enumerate(exprs):
            if isinstance(one, tree.Column):
                self._columns.setdefault((one.relation, one.name), place)
            else:
                self._others.append((place, one))

    def place(self, expr: Resolved) -> int | None:
        """Of the first that says the same; ``None`` where none does."""
        if isinstance(expr, tree.Column):
            return self._columns.get((expr.relation, expr.name))
        return next((place for place, one in self._others if same(one, expr)), None)
