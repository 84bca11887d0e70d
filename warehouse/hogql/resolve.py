"""A query as it was written, to one whose every name is looked up: the catalog decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from warehouse.hogql import nodes, tree, types
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.errors import (
    HogQLError,
    HogQLRefused,
    HogQLTooComplex,
    NameAmbiguous,
    TypesDiffer,
    ViewCycle,
)
from warehouse.hogql.expressions import Expressions
from warehouse.hogql.grouping import is_of_many, ungrouped
from warehouse.hogql.listed import Listed
from warehouse.hogql.read import read
from warehouse.hogql.resolved import Resolved, moved
from warehouse.hogql.scope import Columns, Scope, Visible, free_name, unknown
from warehouse.hogql.source import Place
from warehouse.hogql.values import Values
from warehouse.hogql.views import Views


def resolve(text: str, catalog: Catalog, values: Mapping[str, object] | None = None) -> tree.Query:
    """The query of a text over the catalog's tables; raises HogQLError with the place."""
    given = Values(values or {})
    query = _Queries(text, catalog, given).query(read(text), Scope())
    given.refuse_unused()
    return query


class _Queries:
    def __init__(
        self,
        text: str,
        catalog: Catalog,
        values: Values,
        views: Views | None = None,
        taken: set[str] | None = None,
    ) -> None:
        self._text = text
        self._catalog = catalog
        self._views = views or Views()
        self._taken = set(catalog.bare_names) if taken is None else taken
        """Names, folded, that no further CTE may be printed with, of a view neither."""
        self._exprs = Expressions(text, values, self.query)

    def query(self, node: nodes.Query, outer: Scope) -> tree.Query:
        match node:
            case nodes.Select():
                return self._select(node, outer)
            case nodes.SetQuery():
                return self._set(node, outer)
        raise TypeError(node)

    def _set(self, node: nodes.SetQuery, outer: Scope) -> tree.SetQuery:
        scope = Scope(outer)
        ctes = tuple(self._cte(cte, scope) for cte in node.ctes)
        left, right = self.query(node.left, scope), self.query(node.right, scope)
        if len(left.columns) != len(right.columns):
            raise TypesDiffer("The parts have different numbers of columns.", self._place(node))
        columns = []
        for (name, mine), (_, other) in zip(left.columns, right.columns, strict=True):
            common = types.common(mine, other)
            if common is None:
                raise TypesDiffer(
                    f"{name} is {mine} in one part, {other} in another.", self._place(node)
                )
            columns.append((name, common))
        return tree.SetQuery(
            node.at, tuple(columns), left, node.op, right, node.limit, node.offset, ctes
        )

    def _select(self, node: nodes.Select, outer: Scope) -> tree.Select:
        scope = Scope(outer)
        ctes = tuple(self._cte(cte, scope) for cte in node.ctes)
        joins = tuple(self._join(source, scope) for source in node.sources)
        items = tuple(self._items(node.items, scope))
        self._refuse_twice(items)
        where = self._exprs.condition(node.where, scope, "WHERE")
        self._refuse_aggregates(where, "WHERE")
        group_by = tuple(self._by_place(one, items, scope) for one in node.group_by)
        for one in group_by:
            self._refuse_aggregates(one, "GROUP BY")
        select = tree.Select(
            node.at,
            tuple((item.name, item.expr.type) for item in items),
            items,
            joins,
            ctes,
            node.distinct,
            where,
            group_by,
            self._exprs.condition(node.having, scope, "HAVING"),
            self._exprs.condition(node.qualify, scope, "QUALIFY"),
            tuple(self._orders(node.order_by, items, scope)),
            self._limit_by(node.limit_by, scope),
            node.limit,
            node.offset,
        )
        # Any clause may have used a link.
        select = replace(select, joins=tuple(scope.with_links(joins)))
        if (column := ungrouped(select)) is not None:
            raise HogQLRefused(
                f"{column.name} has no one value here: the query groups, and not by it.",
                self._place(column),
                hint="Put it into GROUP BY, or into an aggregate such as max().",
            )
        return select

    # FROM.

    def _cte(self, node: nodes.Cte, scope: Scope) -> tree.Cte:
        query = self.query(node.query, scope)
        if node.name.casefold() in scope.ctes:
            raise NameAmbiguous(f"Two queries are called {node.name}.", self._place(node))
        printed = self._free_name(node.name)
        scope.ctes[node.name.casefold()] = printed, dict(query.columns)
        return tree.Cte(node.at, printed, query)

    def _free_name(self, wanted: str) -> str:
        """``wanted``, or with a number where that is the printed name of a table or another CTE:
        a link leads to its table, whatever a query calls its own."""
        name = free_name(wanted, self._taken)
        self._taken.add(name.casefold())
        return name

    def _join(self, node: nodes.Source, scope: Scope) -> tree.Join:
        relation, visible = self._relation(node, scope)
        if any(seen.is_called(visible.called[-1:]) for seen in scope.relations):
            raise NameAmbiguous(
                f"Two tables of the query are called {visible.called[-1]}.",
                self._place(node),
                hint="Give one of them an alias.",
            )
        scope.relations.append(visible)
        on = self._exprs.condition(node.on, scope, "ON")
        if any(start == visible.alias for start, _ in scope.linked):
            raise HogQLRefused(
                f"ON comes before what {visible.called[-1]} leads to.",
                self._place(node),
                hint=f"Name {visible.called[-1]} first in FROM, or ask for it in WHERE.",
            )
        self._refuse_aggregates(on, "ON")
        return tree.Join(node.at, relation, node.kind, on)

    def _relation(self, node: nodes.Source, scope: Scope) -> tuple[tree.Relation, Visible]:
        columns: Columns
        relation: tree.Relation
        if isinstance(node.table, nodes.Query):
            # A query in FROM sees the CTEs around it and what is around the whole, not its peers.
            inner = Scope(scope.outer, ctes=scope.ctes)
            query = self.query(node.table, inner)
            alias = scope.free_alias(node.alias or "subquery")
            relation, columns = tree.QueryRelation(node.at, alias, query), dict(query.columns)
            return relation, Visible((node.alias or alias,), alias, columns)
        name = node.table
        alias = scope.free_alias(node.alias or name[-1])
        called = (node.alias,) if node.alias else name
        if len(name) == 1 and (cte := scope.cte(name[0])) is not None:
            own_name, columns = cte
            return tree.CteRelation(node.at, alias, own_name), Visible(called, alias, columns)
        found = self._catalog.find(name)
        if not found:
            dotted = ".".join(name)
            raise unknown("table", dotted, self._catalog.nearest(name), self._place(node))
        if len(found) > 1:
            raise NameAmbiguous(
                f"{'.'.join(name)} may be {found[0]} or {found[1]}.",
                self._place(node),
                hint="Write all of its name, with double quotes around what has blanks in it.",
            )
        table = found[0]
        called = (node.alias,) if node.alias else table.path
        if table.view is not None:
            query = self._view(table.name, table.view, self._place(node), scope)
            query = moved(query, node.at)
            relation = tree.QueryRelation(node.at, alias, query, table.name)
            return relation, Visible(called, alias, dict(query.columns))
        visible = Visible(called, alias, dict(table.columns), table)
        return tree.TableRelation(node.at, alias, table), visible

    def _view(self, name: str, text: str, place: Place, scope: Scope) -> tree.Query:
        """A view's query, which sees nothing of the one that names it."""
        views = self._views.entered(name, place)
        inner = _Queries(text, self._catalog, Values({}), views, self._taken)
        try:
            return inner.query(read(text), Scope(taken=scope.aliases_around()))
        except (ViewCycle, HogQLTooComplex) as exc:
            raise type(exc)(exc.detail, place, hint=exc.advice) from exc
        except HogQLError as exc:
            # Its own place is one of another text.
            raise type(exc)(f"In the view {name}: {exc.detail}", place, hint=exc.advice) from exc

    # SELECT.

    def _items(self, found: Sequence[nodes.Item], scope: Scope) -> Iterator[tree.Item]:
        for place, node in enumerate(found, start=1):
            if isinstance(node.expr, nodes.Name) and node.expr.chain[-1] == "*":
                yield from self._star(node.expr, scope)
                continue
            expr = self._exprs.resolve(node.expr, scope)
            name = node.alias or self._default_name(node.expr, place)
            if node.alias:
                scope.aliases[node.alias.casefold()] = expr
            yield tree.Item(node.at, name, expr)

    def _default_name(self, node: nodes.Expr, place: int) -> str:
        """The column's or function's name; ``column_2`` of an operator."""
        if isinstance(node, nodes.Name):
            return node.chain[-1]
        call = node.call if isinstance(node, nodes.Over) else node
        if isinstance(call, nodes.Call) and self._text.startswith(call.name, call.at):
            return call.name
        return f"column_{place}"

    def _star(self, node: nodes.Name, scope: Scope) -> Iterator[tree.Item]:
        before = node.chain[:-1]
        seen = [one for one in scope.relations if not before or one.is_called(before)]
        if not seen:
            raise unknown("table", ".".join(before) or "*", [], self._place(node))
        for relation in seen:
            for name in relation.columns:
                yield tree.Item(node.at, name, relation.value(name, node.at))

    def _refuse_twice(self, items: Sequence[tree.Item]) -> None:
        names: set[str] = set()
        for item in items:
            # In any case: some warehouses fold even quoted names.
            if item.name.casefold() in names:
                raise NameAmbiguous(
                    f"Two columns of the result are called {item.name}.",
                    self._place(item),
                    hint="Give one of them an alias: x AS y.",
                )
            names.add(item.name.casefold())

    def _refuse_aggregates(self, expr: tree.Expr | None, clause: str) -> None:
        for node in _of_this_query(expr):
            if is_of_many(node):
                raise HogQLRefused(
                    f"{clause} comes before aggregates and windows.",
                    self._place(node),
                    hint="Use HAVING, QUALIFY, or a query in FROM.",
                )

    def _by_place(self, node: nodes.Expr, items: Sequence[tree.Item], scope: Scope) -> tree.Expr:
        """``GROUP BY 1`` is the first of the select list."""
        if not isinstance(node, nodes.Constant):
            return self._exprs.resolve(node, scope)
        if type(node.value) is not int or not 1 <= node.value <= len(items):
            raise HogQLRefused("There is no such place in the select list.", self._place(node))
        return items[node.value - 1].expr

    def _orders(
        self, found: Sequence[nodes.Order], items: Sequence[tree.Item], scope: Scope
    ) -> Iterator[tree.Order]:
        listed = Listed(item.expr for item in items)
        for node in found:
            expr = self._by_place(node.expr, items, scope)
            place = listed.place(expr)
            yield tree.Order(node.at, expr, node.descending, node.nulls_first, place)

    def _limit_by(self, node: nodes.LimitBy | None, scope: Scope) -> tree.LimitBy | None:
        if node is None:
            return None
        exprs = self._exprs.all(node.exprs, scope)
        return tree.LimitBy(node.at, node.count, node.offset, exprs)

    def _place(self, node: nodes.Node | Resolved) -> Place:
        return Place.of(self._text, node.at)


def _of_this_query(expr: tree.Expr | None) -> Iterator[Resolved]:
    """The expression's nodes, without those of queries in it."""
    stack: list[Resolved] = [] if expr is None else [expr]
    while stack:
        node = stack.pop()
        if not isinstance(node, tree.Query):
            yield node
            stack += node.parts()
