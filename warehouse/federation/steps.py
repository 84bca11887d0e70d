"""Aggregates in two steps: what groups of one relation say of their rows, and what is made of that.

Only what is the same whichever way it is added up is begun so: integers, and decimals of a known
scale.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from warehouse.federation.relations import columns_of
from warehouse.federation.semi import ALIKE
from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.resolved import Resolved, same
from warehouse.hogql.types import FLOAT, INT, TIMES, Kind, Type

BEGUN = ("count", "sum", "min", "max", "avg")
UNMOVED = ("min", "max", "any", "uniq")
"""Aggregates that do not care how often a row comes."""
COUNT_OF, (SUM_INT, SUM, _) = named("count")[1], named("sum")
DIVIDE, IF_NULL = named("divide")[0], named("ifNull")[0]
COLUMN_SCALE, SCALE = 9, 4
"""The most digits after the point that every system keeps: of a column, and of what is reckoned."""
PART = "hogql_part_{}"


class Steps:
    """What a query asks groups of a relation, beside columns that they are of: ``keys`` that are
    reckoned of its columns, and what is ``begun`` of its rows. Both are found as nodes of the
    query are ``ended``."""

    def __init__(self, relation: tree.Relation, group_by: Iterable[tree.Expr]) -> None:
        self.keys: list[tree.Item] = []
        self.begun: list[tree.Item] = []
        self._relation = relation
        self._reckoned = [one for one in group_by if _is_reckoned_of(one, relation.alias)]
        # Not one that a column of it has.
        taken = {name.lower() for name, _ in columns_of(relation)}
        self._names = (name for name in map(PART.format, count()) if name not in taken)

    def ended(self, node: Resolved) -> Resolved:
        """What is made of the groups' columns, in the place of a node that asks their rows."""
        if isinstance(node, tree.Query):
            return node
        if isinstance(node, tree.Call) and can_begin(node, self._relation.alias):
            return self._ended(node)
        for one in self._reckoned:
            if same(node, one):
                return self._column(one, self.keys)
        changed: Resolved = node.over(self.ended)
        return changed

    def _ended(self, call: tree.Call) -> tree.Expr:
        """The aggregate of what the groups say of it."""
        match call.function.name:
            case "count":
                none = tree.Literal(call.at, INT, 0)
                return tree.Call(call.at, INT, IF_NULL, (self._sum(call), none))
            case "sum":
                return self._sum(call)
            case "avg":
                number = _number(call)
                exact = Type(Kind.DECIMAL, scale=number.type.scale or 0)
                total = replace(call, type=exact, function=SUM, args=(_cast(number, exact),))
                count = replace(call, type=INT, function=COUNT_OF, args=(number,))
                ends = tuple(_cast(self._sum(one), FLOAT) for one in (total, count))
                return tree.Call(call.at, FLOAT, DIVIDE, ends)
        return replace(call, args=(self._begun(call),), condition=None)

    def _sum(self, call: tree.Call) -> tree.Expr:
        """Of what the groups say, and of the type that it has without them."""
        function = SUM_INT if call.type == INT else SUM
        return _cast(tree.Call(call.at, call.type, function, (self._begun(call),)), call.type)

    def _begun(self, call: tree.Call) -> tree.Column:
        """What the groups say of it: decimals in a size, which a sum has not everywhere."""
        is_sized = call.type.kind == Kind.DECIMAL
        return self._column(_cast(call, call.type) if is_sized else call, self.begun)

    def _column(self, expr: tree.Expr, among: list[tree.Item]) -> tree.Column:
        """The column of the groups that has it."""
        item = next((one for one in among if same(one.expr, expr)), None)
        if item is None:
            item = tree.Item(expr.at, next(self._names), expr)
            among.append(item)
        return tree.Column(expr.at, expr.type, self._relation.alias, item.name)


def can_begin(call: tree.Call, alias: str) -> bool:
    """Groups of that relation can tell what it needs of their rows."""
    is_own = call.names.aliases <= {alias} and not call.names.aliases_made
    if call.function.name not in BEGUN or call.distinct or not is_own or _reads_texts(*call.args):
        return False
    return call.function.name == "count" or _is_exact(_number(call))


def is_unmoved(call: tree.Call) -> bool:
    """How often a row comes is nothing to it."""
    return call.distinct or call.function.name in UNMOVED


def _is_reckoned_of(expr: tree.Expr, alias: str) -> bool:
    """It is reckoned of that relation's columns alone, and means the same everywhere."""
    is_own = expr.names.aliases == {alias} and not expr.names.aliases_made
    is_alike = expr.type.kind in ALIKE and expr.type.kind != Kind.DECIMAL
    return is_own and is_alike and not isinstance(expr, tree.Column) and not _reads_texts(expr)


def _reads_texts(*exprs: tree.Expr) -> bool:
    """Something else is made of a text, which fails of some, be they of rows that a join leaves
    out."""
    return any(
        isinstance(part, tree.Expr) and part.type.kind == Kind.STRING
        for expr in exprs
        for node in expr.walk()
        if isinstance(node, tree.Expr) and node.type.kind not in (Kind.STRING, Kind.BOOL)
        for part in node.parts()
    )


def _is_exact(expr: tree.Expr) -> bool:
    """Any order of reckoning with it gives the same."""
    if expr.type.kind == Kind.DECIMAL:
        most = COLUMN_SCALE if isinstance(expr, tree.Column) else SCALE
        return expr.type.scale is not None and expr.type.scale <= most
    return expr.type.kind == Kind.INT or expr.type.kind in TIMES


def _number(call: tree.Call) -> tree.Expr:
    """What it reckons with; a mean casts that to a float."""
    (arg,) = call.args
    return arg.expr if call.function.name == "avg" and isinstance(arg, tree.Cast) else arg


def _cast(expr: tree.Expr, kind: Type) -> tree.Expr:
    return tree.Cast(expr.at, kind, expr)
