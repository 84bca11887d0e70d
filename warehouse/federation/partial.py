"""Aggregates that a leg begins: it sends a row for each of its keys, not for each of its rows.

Rows of a relation that agree in all that the rest of a query asks of them are alike to its joins
and conditions. So they can be counted and summed where they are, and the store counts and sums on,
as often as the joins repeat what has come. Only what is the same whichever way it is added up is
begun: integers and decimals of a known scale, in inner joins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from math import prod

from warehouse.federation import sizes
from warehouse.federation.conditions import EQUAL_SHARE, all_of
from warehouse.federation.equal import equal_columns, is_inner
from warehouse.federation.relations import column_item, columns_of, source_of
from warehouse.federation.semi import ALIKE
from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.grouping import has_windows, is_aggregate
from warehouse.hogql.resolved import Resolved, same
from warehouse.hogql.types import FLOAT, INT, TIMES, Kind, Type

BEGUN = ("count", "sum", "min", "max", "avg")
UNMOVED = ("min", "max", "any", "uniq")
"""Aggregates that do not care how often a row comes."""
COUNT_OF, (SUM_INT, SUM) = named("count")[1], named("sum")
DIVIDE, IF_NULL = named("divide")[0], named("ifNull")[0]
COLUMN_SCALE, SCALE = 9, 4
"""The most digits after the point that every system keeps: of a column, and of what is reckoned."""
PART = "hogql_part_{}"
TIMES_FEWER = 2
"""Groups are guessed, and cost the warehouse more than rows that it only sends."""


def begun(
    query: tree.Select,
    pushed: dict[str, list[tree.Expr]],
    can_run: Callable[[tree.Query], bool],
) -> tree.Select:
    """The query with one relation as a query of its groups, where that surely answers the same and
    likely brings less; what is ``pushed`` to it is then asked there. ``can_run`` says whether
    a query's source knows all that it asks."""
    # What depends on a row around it may be of no rows, of which the store knows less.
    if not is_inner(query) or len(query.joins) < 2 or query.names.aliases or has_windows(query):
        return query
    calls = list(_aggregates(query))
    for join in query.joins:
        grouped = _Grouped.of(join.relation, query, calls)
        if grouped is None:
            continue
        asked = grouped.asked(pushed.get(grouped.alias, []))
        if _is_shorter(grouped, asked) and can_run(asked):
            pushed.pop(grouped.alias, None)
            return grouped.over(asked)
    return query


@dataclass
class _Grouped:
    """``rest`` is the query, which asks the groups of a relation for their keys and ``parts``."""

    relation: tree.Relation
    query: tree.Select
    parts: list[tree.Item] = field(default_factory=list)
    rest: tree.Select = field(init=False)

    def __post_init__(self) -> None:
        self._made = [one for one in self.query.group_by if _is_made_of(one, self.alias)]
        # Not one that a column of it has.
        taken = {name.lower() for name, _ in columns_of(self.relation)}
        self._names = (name for name in map(PART.format, count()) if name not in taken)
        self.rest = self.query.over(self._changed)

    @classmethod
    def of(
        cls, relation: tree.Relation, query: tree.Select, calls: list[tree.Call]
    ) -> "_Grouped | None":
        """``None`` where its groups would not tell all that is asked of its rows."""
        own = [call for call in calls if _is_begun(call, relation.alias)]
        others = [call for call in calls if call not in own]
        if source_of(relation) is None or not own or not all(map(_is_unmoved, others)):
            return None
        found = cls(relation, query)
        keys = found.group_by()
        is_alike = all(key.expr.type.kind in ALIKE for key in keys)
        return found if keys and is_alike else None

    @property
    def alias(self) -> str:
        return self.relation.alias

    def group_by(self) -> list[tree.Item]:
        """What the groups are of."""
        asked = {name for alias, name in self.rest.names.columns if alias == self.alias}
        columns = [
            column_item(self.relation.at, self.alias, name, kind)
            for name, kind in columns_of(self.relation)
            if name in asked
        ]
        made = [one for one in self.parts if any(one.expr is key for key in self._made)]
        return [*columns, *made]

    def asked(self, conditions: list[tree.Expr]) -> tree.Select:
        """Its groups."""
        keys = self.group_by()
        items = (*keys, *(one for one in self.parts if one not in keys))
        return tree.Select(
            self.relation.at,
            tuple((item.name, item.expr.type) for item in items),
            items,
            (tree.Join(self.relation.at, self.relation, None, None),),
            where=all_of(conditions),
            group_by=tuple(key.expr for key in keys),
        )

    def over(self, asked: tree.Select) -> tree.Select:
        """The query that reads them."""
        relation = tree.QueryRelation(self.relation.at, self.alias, asked)
        joins = tuple(
            replace(join, relation=relation) if join.relation.alias == self.alias else join
            for join in self.rest.joins
        )
        return replace(self.rest, joins=joins)

    def _changed(self, node: Resolved) -> Resolved:
        if isinstance(node, tree.Query):
            return node
        if isinstance(node, tree.Call) and _is_begun(node, self.alias):
            return self._ended(node)
        for one in self._made:
            if same(node, one):
                return self._part(one)
        changed: Resolved = node.over(self._changed)
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
        return self._part(_cast(call, call.type) if call.type.kind == Kind.DECIMAL else call)

    def _part(self, expr: tree.Expr) -> tree.Column:
        """The column of the groups that has it."""
        part = next((one for one in self.parts if same(one.expr, expr)), None)
        if part is None:
            part = tree.Item(expr.at, next(self._names), expr)
            self.parts.append(part)
        return tree.Column(expr.at, expr.type, self.alias, part.name)


def _aggregates(part: Resolved) -> Iterator[tree.Call]:
    """Those of a query, and not of the queries in it."""
    for one in part.parts():
        if is_aggregate(one):
            yield one
        elif not isinstance(one, tree.Query):
            yield from _aggregates(one)


def _is_made_of(expr: tree.Expr, alias: str) -> bool:
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


def _is_begun(call: tree.Call, alias: str) -> bool:
    """Groups of that relation can tell what it needs of their rows."""
    is_own = call.names.aliases <= {alias} and not call.names.aliases_made
    if call.function.name not in BEGUN or call.distinct or not is_own or _reads_texts(*call.args):
        return False
    return call.function.name == "count" or _is_exact(_number(call))


def _is_unmoved(call: tree.Call) -> bool:
    return call.distinct or call.function.name in UNMOVED


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


def _is_shorter(grouped: _Grouped, asked: tree.Select) -> bool:
    """It has fewer groups than rows, by what is known of them."""
    keys, unique = grouped.group_by(), _key_of(grouped.relation)
    rows = sizes.rows_of(replace(asked, group_by=()))
    if rows is None or (unique and unique <= {key.name for key in keys}):
        return False
    equal = equal_columns(grouped.rest)
    values = [_values(key.expr, grouped.rest, equal) for key in keys]
    known = [one for one in values if one is not None]
    return len(known) == len(values) and prod(known) * TIMES_FEWER <= rows


def _key_of(relation: tree.Relation) -> set[str]:
    """The columns of a declared key; of tables that are asked together the first one's."""
    if isinstance(relation, tree.TableRelation):
        return {*relation.table.key}
    query = relation.query if isinstance(relation, tree.QueryRelation) else None
    if not isinstance(query, tree.Select) or not query.joins:
        return set()
    first = query.joins[0].relation
    key = {(first.alias, name) for name in _key_of(first)}
    own = {
        item.name: (item.expr.relation, item.expr.name)
        for item in query.items
        if isinstance(item.expr, tree.Column)
    }
    if not key <= {*own.values()}:
        return set()
    return {name for name, place in own.items() if place in key}


def _values(
    key: tree.Expr, query: tree.Select, equal: list[tuple[tree.Column, ...]]
) -> float | None:
    """How many different ones there are: no more than rows of what they are to find; of others
    a guess. ``None`` where nothing is known."""
    mine = [group for group in equal if any(same(key, one) for one in group)]
    if not mine:
        return 1 / EQUAL_SHARE
    others = {one.relation for group in mine for one in group} - key.names.aliases
    found = [sizes.rows_in(one.relation) for one in query.joins if one.relation.alias in others]
    return min((rows for rows in found if rows is not None), default=None)
