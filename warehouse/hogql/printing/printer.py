"""A resolved query as a warehouse's own SQL: the text, and the values beside it."""

from dataclasses import replace

from sqlglot import exp

from warehouse.hogql import nodes, tree
from warehouse.hogql.errors import HogQLError, HogQLRefused, HogQLTooComplex
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.printing import given, scalars
from warehouse.hogql.printing.dialects import DIALECTS, NO_LIMIT, Dialect
from warehouse.hogql.printing.equalities import with_equalities
from warehouse.hogql.printing.expressions import Expressions, quoted
from warehouse.hogql.printing.keyless import key_of
from warehouse.hogql.printing.outermost import arriving, made_array
from warehouse.hogql.printing.printed import Printed, with_values
from warehouse.hogql.printing.sets import alike
from warehouse.hogql.printing.templates import apart
from warehouse.hogql.printing.zeros import with_one_zero
from warehouse.hogql.resolved import same
from warehouse.hogql.source import Place
from warehouse.hogql.types import INT

SIDES = {
    nodes.JoinKind.CROSS: {"kind": "CROSS"},
    nodes.JoinKind.INNER: {"kind": "INNER"},
    nodes.JoinKind.LEFT: {"side": "LEFT"},
    nodes.JoinKind.RIGHT: {"side": "RIGHT"},
    nodes.JoinKind.FULL: {"side": "FULL"},
}
SETS = {
    nodes.SetOp.UNION_ALL: (exp.Union, False),
    nodes.SetOp.UNION: (exp.Union, True),
    nodes.SetOp.INTERSECT: (exp.Intersect, True),
    nodes.SetOp.EXCEPT: (exp.Except, True),
}
HIDDEN = "hogql_{}"
"""Columns that only the query around a query sees."""


def print_query(query: tree.Query, dialect: str, text: str) -> Printed:
    """The query in a dialect; ``text`` is where its places count. Raises HogQLError."""
    facts = DIALECTS[dialect]
    printer = _Printer(facts, text)
    try:
        node = printer.outermost(query)
        made = facts.text(node)
    except RecursionError:
        raise _too_deep() from None
    return with_values(made, facts, printer.exprs.params)


def refusal(query: tree.Query, dialect: str, text: str) -> HogQLError | None:
    """What the dialect has no way to say; ``None`` where it can say all of it."""
    try:
        _Printer(DIALECTS[dialect], text).outermost(query)
    except HogQLError as exc:
        return exc
    except RecursionError:
        return _too_deep()
    return None


def can_print(query: tree.Query, dialect: str, text: str) -> bool:
    return refusal(query, dialect, text) is None


def _is_cut(query: tree.Select) -> bool:
    return bool(query.order_by or query.limit_by) or (query.limit, query.offset) != (None, None)


def _too_deep() -> HogQLTooComplex:
    return HogQLTooComplex("The query is nested too deeply.")


class _Printer:
    def __init__(self, dialect: Dialect, text: str) -> None:
        self._dialect = dialect
        self._text = text
        self.exprs = Expressions(dialect, text, self.query)

    def outermost(self, query: tree.Query) -> exp.Query:
        """The query itself, as it means the same there, with values as they are to arrive."""
        query = with_one_zero(with_equalities(query, self._dialect), self._dialect)
        is_plain = self._dialect.arrays and not self._dialect.nests_arrays
        if is_plain and (array := made_array(query)) is not None:
            raise HogQLRefused(
                f"An array that is made by the query cannot be a result of {self._dialect.label}.",
                Place.of(self._text, array.at),
            )
        found = arriving(query, self._dialect)
        if isinstance(query, tree.Select) and isinstance(found, tree.Select):
            # What is ordered and grouped by is the value, not what is made of it.
            return self._select(found, grouped=query.items)
        return self.query(found)

    def query(self, query: tree.Query) -> exp.Query:
        match query:
            case tree.Select():
                return self._select(query)
            case tree.SetQuery():
                return self._set(query)
            case tree.Given():
                return given.rows(query, self.exprs)
        raise TypeError(type(query))

    def _set(self, query: tree.SetQuery) -> exp.Query:
        if self._dialect.mixes_types:
            query = alike(query)
        kind, distinct = SETS[query.op]
        made: exp.Query = kind(
            this=self._member(query.left), expression=self._member(query.right), distinct=distinct
        )
        self._add_ctes(made, query.ctes)
        return self._limited(made, query.limit, query.offset)

    def _member(self, query: tree.Query) -> exp.Expr:
        made = self.query(query)
        plain = isinstance(query, tree.Select) and not (
            query.order_by
            or query.limit is not None
            or query.offset is not None
            or query.ctes
            or query.limit_by
            or query.qualify
        )
        return made if plain else exp.Subquery(this=made)

    def _select(
        self, query: tree.Select, grouped: tuple[tree.Item, ...] | None = None
    ) -> exp.Query:
        grouped = grouped or query.items
        if not self._dialect.cuts_correlated and query.names.aliases and _is_cut(query):
            raise HogQLRefused(
                "In the store, a query that looks at rows around it has no ORDER BY or LIMIT.",
                Place.of(self._text, query.at),
                hint="Ask for min, max, argMin or argMax instead.",
            )
        if query.qualify is not None or query.limit_by is not None:
            return self._wrapped(query, grouped)
        if not self._dialect.orders_by_queries and scalars.orders(query):
            return self._wrapped(query, grouped)
        made = self._plain(query, grouped)
        if query.order_by:
            made.set("order", exp.Order(expressions=[self._order(one) for one in query.order_by]))
        return self._limited(made, query.limit, query.offset)

    def _plain(self, query: tree.Select, grouped: tuple[tree.Item, ...]) -> exp.Select:
        """Up to HAVING."""
        made = exp.Select(
            expressions=[
                exp.Alias(this=self.exprs.node(item.expr), alias=quoted(item.name))
                for item in query.items
            ]
        )
        if query.distinct:
            made.set("distinct", exp.Distinct())
        self._add_ctes(made, query.ctes)
        for join in query.joins:
            self._add_join(made, join, query)
        if query.where is not None:
            made.where(self.exprs.node(query.where), copy=False)
        if query.group_by:
            keys = [self._key(one, grouped) for one in query.group_by]
            made.set("group", exp.Group(expressions=keys))
        if query.having is not None:
            made.having(self.exprs.node(query.having), copy=False)
        return made

    def _add_ctes(self, made: exp.Query, ctes: tuple[tree.Cte, ...]) -> None:
        for cte in ctes:
            made.with_(quoted(cte.name), as_=self.query(cte.query), copy=False)

    def _add_join(self, made: exp.Select, join: tree.Join, query: tree.Select) -> None:
        relation = self._relation(join.relation)
        if join.kind is None:
            made.from_(relation, copy=False)
            return
        on = None if join.on is None else self.exprs.node(join.on)
        if on is not None and self._dialect.joins_by_keys and (key := key_of(join, query)):
            on = exp.And(this=key, expression=apart(on))
        made.append("joins", exp.Join(this=relation, on=on, **SIDES[join.kind]))

    def _relation(self, relation: tree.Relation) -> exp.Expr:
        alias = exp.TableAlias(this=quoted(relation.alias))
        match relation:
            case tree.TableRelation():
                *before, name = map(quoted, relation.table.stored_as or relation.table.path)
                parts = dict(zip(("db", "catalog"), reversed(before), strict=False))
                return exp.Table(this=name, alias=alias, **parts)
            case tree.CteRelation():
                return exp.Table(this=quoted(relation.name), alias=alias)
            case tree.QueryRelation():
                return exp.Subquery(this=self.query(relation.query), alias=alias)
        raise TypeError(type(relation))

    def _key(self, expr: tree.Expr, items: tuple[tree.Item, ...]) -> exp.Expr:
        """By its place in the select list: an expression with values is equal to no other."""
        if not isinstance(expr, tree.Column):
            for place, item in enumerate(items, start=1):
                if same(item.expr, expr):
                    return exp.Literal.number(str(place))
        return self.exprs.node(expr)

    def _order(self, order: tree.Order) -> exp.Ordered:
        if order.item is not None:
            # By its place: an alias may be a column's name as well.
            return self.exprs.ordered(order, exp.Literal.number(str(order.item + 1)))
        return self.exprs.ordered(order, self.exprs.node(order.expr))

    def _limited(self, made: exp.Query, limit: int | None, offset: int | None) -> exp.Query:
        if offset is not None and limit is None and self._dialect.offset_needs_limit:
            limit = NO_LIMIT
        if limit is not None:
            made.set("limit", exp.Limit(expression=exp.Literal.number(str(limit))))
        if offset is not None:
            made.set("offset", exp.Offset(expression=exp.Literal.number(str(offset))))
        return made

    # QUALIFY and LIMIT BY, which few have: a query around the query.

    def _wrapped(self, query: tree.Select, grouped: tuple[tree.Item, ...]) -> exp.Query:
        if query.distinct:
            raise HogQLRefused(
                "DISTINCT does not go with QUALIFY and LIMIT BY.",
                Place.of(self._text, query.at),
                hint="Put the DISTINCT into a query in FROM.",
            )
        hidden, wanted = self._hidden(query)
        orders = [
            tree.Item(one.at, HIDDEN.format(f"order_{place}"), one.expr)
            for place, one in enumerate(query.order_by)
        ]
        inner = replace(
            query,
            items=(*query.items, *hidden, *orders),
            ctes=(),
            qualify=None,
            limit_by=None,
            order_by=(),
            limit=None,
            offset=None,
        )
        made = self._plain(inner, grouped)
        alias = HIDDEN.format("rows")
        outer = exp.Select(
            expressions=[exp.column(quoted(item.name), table=quoted(alias)) for item in query.items]
        )
        self._add_ctes(outer, query.ctes)
        outer.from_(exp.Subquery(this=made, alias=exp.TableAlias(this=quoted(alias))), copy=False)
        for condition in wanted:
            outer.where(condition, copy=False)
        if orders:
            keys = [
                self.exprs.ordered(one, exp.column(quoted(item.name), table=quoted(alias)))
                for one, item in zip(query.order_by, orders, strict=True)
            ]
            outer.set("order", exp.Order(expressions=keys))
        return self._limited(outer, query.limit, query.offset)

    def _hidden(self, query: tree.Select) -> tuple[list[tree.Item], list[exp.Expr]]:
        """The columns that decide which rows stay, and what is asked of them."""
        items, wanted = list[tree.Item](), list[exp.Expr]()
        if query.limit_by is not None:
            limit = query.limit_by
            number = tree.Call(limit.at, INT, named("row_number")[0], ())
            rank = tree.Window(limit.at, INT, number, limit.exprs, query.order_by, "", None, None)
            if query.qualify is not None:
                raise HogQLRefused(
                    "LIMIT BY does not go with QUALIFY.", Place.of(self._text, limit.at)
                )
            name = HIDDEN.format("rank")
            items.append(tree.Item(limit.at, name, rank))
            column = exp.column(quoted(name), table=quoted(HIDDEN.format("rows")))
            last = exp.Literal.number(str(limit.offset + limit.count))
            wanted.append(exp.LTE(this=column, expression=last))
            if limit.offset:
                first = exp.Literal.number(str(limit.offset))
                wanted.append(exp.GT(this=column.copy(), expression=first))
        if query.qualify is not None:
            name = HIDDEN.format("stays")
            items.append(tree.Item(query.at, name, query.qualify))
            wanted.append(exp.column(quoted(name), table=quoted(HIDDEN.format("rows"))))
        return items, wanted
