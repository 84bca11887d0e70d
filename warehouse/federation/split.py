"""A query as legs, one for each table (or subquery) of another system, and what is left to do.

A leg asks for the columns that the rest of the query needs, of the rows that its own conditions
let through. What stays is the same query over the legs' rows: its home runs it, which has all
tables that are no leg's. That is the store, but where rows are moved. A subquery all of whose
tables are in one other system, and that asks nothing of the query around it, is a leg by itself,
with its joins and aggregates.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from warehouse.federation import keys, partial, semi, top
from warehouse.federation.conditions import all_of, conjuncts, implied
from warehouse.federation.equal import connected, equal_columns, exact_pair, is_inner
from warehouse.federation.keys import KeyFilter, StoredKeys
from warehouse.federation.merge import merged
from warehouse.federation.parts import asks_ctes, optional, with_queries
from warehouse.federation.relations import (
    STORE,
    all_rows,
    asking,
    needed,
    only_source,
    source_of,
)
from warehouse.hogql import tree
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.printing.printer import can_print
from warehouse.hogql.resolved import Resolved, same
from warehouse.hogql.tables import tables
from warehouse.hogql.types import INT

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
    """``query`` reads the legs' tables, and those that its home has. ``filters`` hold for the
    rows of the answer, and so does what is ``stored``: a leg may leave others out."""

    legs: tuple[Leg, ...]
    query: tree.Query
    filters: tuple[KeyFilter, ...] = ()
    stored: tuple[StoredKeys, ...] = ()


def split(
    query: tree.Query, text: str, dialects: Mapping[str, str], prefix: str, home: str = STORE
) -> Split:
    """The legs of a query. ``dialects`` are those of its sources; the tables of its legs are
    called ``prefix`` and a number."""
    splitter = _Splitter(text, dialects, prefix, home)
    rest = splitter.nested(query)
    # What a leg leaves out for one part of the query another part may need.
    shared = {table for table, uses in Counter(splitter.uses).items() if uses > 1}
    filters = tuple(one for one in splitter.filters if one.table not in shared)
    stored = tuple(one for one in splitter.stored if one.table not in shared)
    return Split(tuple(splitter.legs), rest, filters, stored)


class _Splitter:
    def __init__(self, text: str, dialects: Mapping[str, str], prefix: str, home: str) -> None:
        self.legs: list[Leg] = []
        self.uses: list[str] = []
        self.filters: list[KeyFilter] = []
        self.stored: list[StoredKeys] = []
        self._tables: dict[str, str] = {}
        """By the alias of a relation in sight: the table of its leg."""
        self._text = text
        self._dialects = dialects
        self._prefix = prefix
        self._home = home

    def nested(self, query: tree.Query, parent: Resolved | None = None) -> tree.Query:
        """What is left of a query, be it all rows of a leg; ``parent`` is the expression that it
        stands in."""
        if isinstance(parent, tree.Exists):
            query = semi.bare(query)
        if self._is_run_there(query):
            return all_rows(query, self._leg(_asked_by(parent, query)))
        query = top.cut_parts(query)
        match query:
            case tree.Select():
                is_semi = isinstance(parent, tree.Exists | tree.In) and semi.is_plain(query)
                return self._select(query, is_semi=is_semi)
            case tree.SetQuery():
                left, right = self.nested(query.left), self.nested(query.right)
                return replace(query, left=left, right=right, ctes=self._ctes(query.ctes))
        raise TypeError(type(query))

    def _is_run_there(self, query: tree.Query) -> bool:
        """One other system can run the query by itself, and has a way to say it."""
        source = only_source(query, self._home)
        return source is not None and can_print(query, self._dialects[source], self._text)

    def _leg(self, query: tree.Query) -> CatalogTable:
        """The table of its rows; two legs that ask the same are one."""
        table = next((leg.table for leg in self.legs if same(leg.query, query)), None)
        if table is None:
            first = next(tables(query)).table
            table = CatalogTable(first.team, (f"{self._prefix}{len(self.legs)}",), query.columns)
            self.legs.append(Leg(first.source, query, table))
        self.uses.append(table.name)
        return table

    def _ctes(self, ctes: tuple[tree.Cte, ...]) -> tuple[tree.Cte, ...]:
        return tuple(replace(cte, query=self.nested(cte.query)) for cte in ctes)

    def _select(self, query: tree.Select, *, is_semi: bool = False) -> tree.Select:
        pushed: Conditions = {}
        if is_inner(query) and query.joins:
            query = connected(merged(query, self._can_ask))
        query = self._pushed(query, pushed)
        for shorter in (partial.begun, top.cut):
            query = shorter(query, pushed, self._is_run_there)
        outer = dict(self._tables)
        for join in query.joins:
            self._tables.pop(join.relation.alias, None)
        once = is_semi or (query.distinct and semi.is_plain(query))
        relations = [
            self._relation(join.relation, query, pushed, once=once) for join in query.joins
        ]
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
            asked = part.names.aliases
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
        source = source_of(relation, self._home)
        if source is None or not condition.names.sources <= {source} or asks_ctes(condition):
            return False
        return self._can_ask(relation, condition)

    def _can_ask(self, relation: tree.Relation, condition: tree.Expr | None = None) -> bool:
        """It can be said in the dialect of the relation's source."""
        one = tree.Item(relation.at, "one", tree.Literal(relation.at, INT, 1))
        asked = asking(relation, condition, (one,))
        source = source_of(relation, self._home)
        return source is not None and can_print(asked, self._dialects[source], self._text)

    # Relations.

    def _relation(
        self, relation: tree.Relation, query: tree.Select, pushed: Conditions, *, once: bool
    ) -> tree.Relation:
        """What is left of it. ``once``: how often its rows come is no matter."""
        if isinstance(relation, tree.QueryRelation) and not self._is_run_there(relation.query):
            return replace(relation, query=self.nested(relation.query))
        if source_of(relation, self._home) is None:
            return relation
        asked = asking(relation, all_of(pushed.get(relation.alias, [])), needed(relation, query))
        table = self._leg(semi.once(asked) if once else asked)
        self._tables[relation.alias] = table.name
        return tree.TableRelation(relation.at, relation.alias, table)

    def _add_filters(self, query: tree.Select) -> None:
        """Equalities with a leg's columns that every row of the answer meets: of those, the other
        side's values tell which rows of the leg count."""
        own = {join.relation.alias for join in query.joins}
        if is_inner(query):
            for group in equal_columns(query):
                for pair in combinations(group, 2):
                    self.filters += keys.filters(pair, own, self._tables)
            self.stored += keys.stored(query, self._tables)
            return
        for part in conjuncts(query.where):
            self._add_filter(part, own - optional(query.joins))
        for join in query.joins:
            # What an outer join keeps stays, whatever its condition says of it.
            kinds = {
                JoinKind.LEFT: {join.relation.alias},
                JoinKind.INNER: own - optional(query.joins),
            }
            for part in conjuncts(join.on):
                self._add_filter(part, kinds.get(join.kind or JoinKind.CROSS, set()))

    def _add_filter(self, part: tree.Expr, may: set[str]) -> None:
        if (pair := exact_pair(part)) is not None:
            self.filters += keys.filters(pair, may, self._tables)


def _asked_by(parent: Resolved | None, query: tree.Query) -> tree.Query:
    """A leg that is a whole query, with as few rows as what it stands in needs."""
    match parent:
        case tree.Exists():
            return semi.first(query)
        case tree.In():
            return semi.once(query)
    return query
