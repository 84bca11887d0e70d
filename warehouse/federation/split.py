"""A query as legs, one for each table (or subquery) of another system, and what is left to do.

A leg asks for the columns that the rest of the query needs, of the rows that its own conditions
let through. What stays is the same query over the legs' rows: ClickHouse runs it. A subquery all
of whose tables are in one system, and that asks nothing of the query around it, is a leg by
itself, with its joins and aggregates.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from warehouse.federation import keys
from warehouse.federation.conditions import aliases, all_of, conjuncts, implied
from warehouse.federation.keys import KeyFilter
from warehouse.federation.parts import asks_ctes, optional, with_queries
from warehouse.hogql import tree
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.errors import HogQLError
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.printing.printer import print_query, tables
from warehouse.hogql.types import INT, Kind, Type

STORE = ""
"""The source of tables that are in the store."""
SMALL = (Kind.BOOL, Kind.DATE, Kind.INT, Kind.DATETIME, Kind.TIMESTAMP, Kind.FLOAT, Kind.DECIMAL)
"""Kinds of columns, the smallest first: one is asked for where only the number of rows counts."""
Conditions = dict[str, list[tree.Expr]]
"""By the alias of a relation: what its leg is asked."""


@dataclass(frozen=True)
class Leg:
    """What one source is asked; its rows are ``table`` to the rest of the query."""

    source: str
    query: tree.Query
    table: CatalogTable


@dataclass(frozen=True)
class Split:
    """``query`` reads the legs' tables, and those that the store has. ``filters`` hold for the
    rows of the answer: a leg may leave others out."""

    legs: tuple[Leg, ...]
    query: tree.Query
    filters: tuple[KeyFilter, ...] = ()


def sources(query: tree.Resolved) -> set[str]:
    """Where its tables are."""
    return {relation.table.source for relation in tables(query)}


def split(query: tree.Query, text: str, dialects: Mapping[str, str], prefix: str) -> Split:
    """The legs of a query. ``dialects`` are those of its sources; the tables of its legs are
    called ``prefix`` and a number."""
    splitter = _Splitter(text, dialects, prefix)
    rest = splitter.nested(query)
    # What a leg leaves out for one part of the query another part may need.
    shared = {table for table, uses in Counter(splitter.uses).items() if uses > 1}
    filters = tuple(one for one in splitter.filters if one.table not in shared)
    return Split(tuple(splitter.legs), rest, filters)


class _Splitter:
    def __init__(self, text: str, dialects: Mapping[str, str], prefix: str) -> None:
        self.legs: list[Leg] = []
        self.uses: list[str] = []
        self.filters: list[KeyFilter] = []
        self._tables: dict[str, str] = {}
        """By the alias of a relation in sight: the table of its leg."""
        self._text = text
        self._dialects = dialects
        self._prefix = prefix

    def nested(self, query: tree.Query) -> tree.Query:
        """What is left of a query, be it all rows of a leg."""
        if _only_source(query) is not None:
            return _all_rows(query, self._leg(query))
        match query:
            case tree.Select():
                return self._select(query)
            case tree.SetQuery():
                left, right = self.nested(query.left), self.nested(query.right)
                return replace(query, left=left, right=right, ctes=self._ctes(query.ctes))
        raise TypeError(type(query))

    def _leg(self, query: tree.Query) -> CatalogTable:
        """The table of its rows; two legs that ask the same are one."""
        table = next((leg.table for leg in self.legs if tree.same(leg.query, query)), None)
        if table is None:
            first = next(tables(query)).table
            table = CatalogTable(first.team, (f"{self._prefix}{len(self.legs)}",), query.columns)
            self.legs.append(Leg(first.source, query, table))
        self.uses.append(table.name)
        return table

    def _ctes(self, ctes: tuple[tree.Cte, ...]) -> tuple[tree.Cte, ...]:
        return tuple(replace(cte, query=self.nested(cte.query)) for cte in ctes)

    def _select(self, query: tree.Select) -> tree.Select:
        pushed: Conditions = {}
        query = self._pushed(query, pushed)
        outer = dict(self._tables)
        for join in query.joins:
            self._tables.pop(join.relation.alias, None)
        relations = [self._relation(join.relation, query, pushed) for join in query.joins]
        self._add_filters(query)
        rest: tree.Select = with_queries(replace(query, ctes=(), joins=()), self.nested)
        joins = tuple(
            replace(join, relation=relation, on=with_queries(join.on, self.nested))
            for join, relation in zip(query.joins, relations, strict=True)
        )
        ctes = self._ctes(query.ctes)
        self._tables = outer
        return replace(rest, joins=joins, ctes=ctes)

    # Conditions.

    def _pushed(self, query: tree.Select, pushed: Conditions) -> tree.Select:
        """The query without the conditions that its legs see to, which go into ``pushed``."""
        relations = {join.relation.alias: join.relation for join in query.joins}
        joins: list[tree.Join] = []
        for join in query.joins:
            alias, before = join.relation.alias, {one.relation.alias for one in joins}
            # What is asked of relations whose rows may be missing is asked of NULLs, too.
            missing = optional(joins)
            own = {
                JoinKind.LEFT: {alias},
                JoinKind.RIGHT: before - missing,
                JoinKind.FULL: set[str](),
            }.get(join.kind or JoinKind.CROSS, {alias, *before} - missing)
            joins.append(self._on(join, relations, own, pushed))
        kept = self._kept(query.where, relations, relations.keys() - optional(joins), pushed)
        return replace(query, joins=tuple(joins), where=all_of(kept))

    def _on(
        self,
        join: tree.Join,
        relations: Mapping[str, tree.Relation],
        may: set[str],
        pushed: Conditions,
    ) -> tree.Join:
        kept = all_of(self._kept(join.on, relations, may, pushed))
        if kept is None and join.kind == JoinKind.INNER:
            return replace(join, kind=JoinKind.CROSS, on=None)
        # An outer join needs a condition: the same again does no harm.
        return replace(join, on=kept or join.on)

    def _kept(
        self,
        condition: tree.Expr | None,
        relations: Mapping[str, tree.Relation],
        may: set[str],
        pushed: Conditions,
    ) -> list[tree.Expr]:
        """The parts of a condition that no leg sees to; the others go into ``pushed``."""
        kept = []
        for part in conjuncts(condition):
            asked = aliases(part)
            if len(asked) == 1 and self._push(part, asked & may, relations, pushed):
                continue
            kept.append(part)
            for alias in sorted(asked & may):
                weaker = implied(part, alias)
                if weaker is not None:
                    self._push(weaker, {alias}, relations, pushed)
        return kept

    def _push(
        self,
        condition: tree.Expr,
        where: set[str],
        relations: Mapping[str, tree.Relation],
        pushed: Conditions,
    ) -> bool:
        for alias in where:
            if self._can(relations[alias], condition):
                pushed.setdefault(alias, []).append(condition)
                return True
        return False

    def _can(self, relation: tree.Relation, condition: tree.Expr) -> bool:
        """The source of the relation can judge its rows by this."""
        source = _source_of(relation)
        if source is None or not sources(condition) <= {source} or asks_ctes(condition):
            return False
        try:
            one = tree.Item(relation.at, "one", tree.Literal(relation.at, INT, 1))
            asked = _asking(relation, condition, (one,))
            print_query(asked, self._dialects[source], self._text)
        except HogQLError:
            return False
        return True

    # Relations.

    def _relation(
        self, relation: tree.Relation, query: tree.Select, pushed: Conditions
    ) -> tree.Relation:
        if _source_of(relation) is None:
            if isinstance(relation, tree.QueryRelation):
                return replace(relation, query=self.nested(relation.query))
            return relation
        asked = _asking(relation, all_of(pushed.get(relation.alias, [])), _needed(relation, query))
        table = self._leg(asked)
        self._tables[relation.alias] = table.name
        return tree.TableRelation(relation.at, relation.alias, table)

    def _add_filters(self, query: tree.Select) -> None:
        """Equalities between two legs that every row of the answer meets: of those, one leg's
        values tell which rows of the other count."""
        missing = optional(query.joins)
        own = {join.relation.alias for join in query.joins}
        for part in conjuncts(query.where):
            self.filters += keys.filters(part, own - missing, self._tables)
        for join in query.joins:
            # What an outer join keeps stays, whatever its condition says of it.
            kinds = {JoinKind.LEFT: {join.relation.alias}, JoinKind.INNER: own - missing}
            for part in conjuncts(join.on):
                may = kinds.get(join.kind or JoinKind.CROSS, set())
                self.filters += keys.filters(part, may, self._tables)


def _asking(
    relation: tree.Relation, condition: tree.Expr | None, items: tuple[tree.Item, ...]
) -> tree.Select:
    """The leg of one relation."""
    columns = tuple((item.name, item.expr.type) for item in items)
    join = tree.Join(relation.at, relation, None, None)
    return tree.Select(relation.at, columns, items, (join,), where=condition)


def _all_rows(query: tree.Query, table: CatalogTable) -> tree.Select:
    """A query of all that a leg has brought, in its order of columns."""
    alias = table.name
    items = tuple(_item(query.at, alias, name, kind) for name, kind in query.columns)
    join = tree.Join(query.at, tree.TableRelation(query.at, alias, table), None, None)
    return tree.Select(query.at, query.columns, items, (join,))


def _needed(relation: tree.Relation, query: tree.Select) -> tuple[tree.Item, ...]:
    """The relation's columns that the query asks for, or one, if it only counts rows."""
    asked = {
        node.name
        for node in query.walk()
        if isinstance(node, tree.Column) and node.relation == relation.alias
    }
    columns = _columns(relation)
    found = [(name, kind) for name, kind in columns if name in asked]
    return tuple(
        _item(relation.at, relation.alias, name, kind)
        for name, kind in found or [min(columns, key=_size)]
    )


def _item(at: int, alias: str, name: str, kind: Type) -> tree.Item:
    return tree.Item(at, name, tree.Column(at, kind, alias, name))


def _size(column: tuple[str, Type]) -> int:
    kind = column[1].kind
    return SMALL.index(kind) if kind in SMALL else len(SMALL)


def _columns(relation: tree.Relation) -> tuple[tuple[str, Type], ...]:
    match relation:
        case tree.TableRelation():
            return relation.table.columns
        case tree.QueryRelation():
            return relation.query.columns
    raise TypeError(type(relation))


def _source_of(relation: tree.Relation) -> str | None:
    """The system that a leg of the relation would go to; ``None`` where it is no leg."""
    match relation:
        case tree.TableRelation():
            return relation.table.source or None
        case tree.QueryRelation():
            return _only_source(relation.query)
    return None


def _only_source(query: tree.Query) -> str | None:
    """The one other system that could run the query by itself; ``None`` where there is none."""
    found = sources(query)
    if len(found) != 1 or aliases(query) or asks_ctes(query):
        return None
    return found.pop() or None
