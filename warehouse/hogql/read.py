"""The parser's tree to nodes of ours: queries; ``read_expressions`` has the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import orjson

from warehouse.hogql import nodes, parser, source
from warehouse.hogql.errors import HogQLRefused, HogQLTooComplex
from warehouse.hogql.nodes import Query
from warehouse.hogql.read_expressions import MAX_DEPTH, ExpressionReader, Tree, at_of
from warehouse.hogql.source import Place

JOINS = {
    "CROSS JOIN": nodes.JoinKind.CROSS,
    "JOIN": nodes.JoinKind.INNER,
    "INNER JOIN": nodes.JoinKind.INNER,
    "LEFT JOIN": nodes.JoinKind.LEFT,
    "LEFT OUTER JOIN": nodes.JoinKind.LEFT,
    "RIGHT JOIN": nodes.JoinKind.RIGHT,
    "RIGHT OUTER JOIN": nodes.JoinKind.RIGHT,
    "FULL JOIN": nodes.JoinKind.FULL,
    "FULL OUTER JOIN": nodes.JoinKind.FULL,
}
REFUSED_CLAUSES = {
    "array_join_op": "ARRAY JOIN",
    "array_join_list": "ARRAY JOIN",
    "distinct_on": "DISTINCT ON",
    "group_by_mode": "ROLLUP, CUBE, GROUPING SETS and GROUP BY ALL",
    "limit_percent": "LIMIT in percent",
    "limit_with_ties": "LIMIT … WITH TIES",
    "prewhere": "PREWHERE",
    "settings": "SETTINGS",
}
REFUSED_OF_A_SOURCE = {
    "column_aliases": "A list of columns after an alias",
    "sample": "SAMPLE",
    "table_args": "A table function",
    "table_final": "FINAL",
}
KNOWN_CLAUSES = frozenset(
    """ctes distinct end group_by having limit limit_by node offset order_by qualify select
    select_from start where window_exprs""".split()
)


@lru_cache(maxsize=64)
def read(text: str) -> Query:
    """The query of a text; raises HogQLError with the place."""
    found = source.pieces(text)
    answer = parser.parse(text)
    if lost := source.dropped(found):
        name, at = lost
        raise HogQLRefused(f"{name} is not part of HogQL here.", Place.of(text, at))
    try:
        tree = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise HogQLTooComplex("The query is nested too deeply.") from None
    return _Reader(text, found).query(tree)


class _Reader(ExpressionReader):
    def query(self, tree: Tree) -> Query:
        """A SELECT or set operation."""
        self._enter(tree)
        match tree["node"]:
            case "SelectQuery":
                query: Query = self._select(tree)
            case "SelectSetQuery":
                query = self._set(tree)
            case _:
                raise self._refused(tree)
        self._depth -= 1
        return query

    def _select(self, tree: Tree) -> nodes.Select:
        for name, value in tree.items():
            if name in KNOWN_CLAUSES or not value:
                continue
            said = REFUSED_CLAUSES.get(name, name)
            raise self._error(HogQLRefused, f"{said}: not part of HogQL here.", tree)
        outer = self._windows
        named = tree.get("window_exprs") or {}
        self._windows = outer | {name: self._window(spec) for name, spec in named.items()}
        select = nodes.Select(
            at_of(tree),
            ctes=tuple(self._cte(cte) for cte in tree.get("ctes") or ()),
            distinct=bool(tree.get("distinct")),
            items=tuple(self._item(item) for item in tree["select"]),
            sources=tuple(self._sources(tree.get("select_from"))),
            where=self._maybe(tree.get("where")),
            group_by=self._exprs(tree.get("group_by")),
            having=self._maybe(tree.get("having")),
            qualify=self._maybe(tree.get("qualify")),
            order_by=self._orders(tree.get("order_by")),
            limit_by=self._limit_by(tree.get("limit_by")),
            **self._limits(tree),
        )
        self._windows = outer
        return select

    def _limits(self, tree: Tree) -> dict[str, int | None]:
        limit, offset = tree.get("limit"), tree.get("offset")
        if limit and offset and "OFFSET" not in self._between(limit, offset):
            raise self._error(
                HogQLRefused, "LIMIT a, b is read in two ways: write LIMIT n OFFSET m.", limit
            )
        return {"limit": self._count(limit), "offset": self._count(offset)}

    def _count(self, tree: Tree | None) -> int | None:
        if tree is None:
            return None
        value = tree.get("value")
        if tree["node"] != "Constant" or type(value) is not int or not 0 <= value < 2**63:
            raise self._error(HogQLRefused, "A limit is a number.", tree)
        return value

    def _limit_by(self, tree: Tree | None) -> nodes.LimitBy | None:
        if tree is None:
            return None
        if tree.get("offset_value") and "OFFSET" not in self._between(
            tree["n"], tree["offset_value"]
        ):
            raise self._error(
                HogQLRefused, "LIMIT a, b BY is read in two ways: write LIMIT n OFFSET m BY.", tree
            )
        offset = self._count(tree.get("offset_value")) or 0
        return nodes.LimitBy(
            at_of(tree), self._count(tree["n"]) or 0, offset, self._exprs(tree["exprs"])
        )

    def _cte(self, tree: Tree) -> nodes.Cte:
        if tree["cte_type"] != "subquery":
            raise self._error(HogQLRefused, "WITH value AS name: give it in the select list.", tree)
        for name in ("columns", "using_key", "recursive"):
            if tree.get(name):
                raise self._error(HogQLRefused, f"WITH … {name}: not part of HogQL here.", tree)
        return nodes.Cte(at_of(tree), tree["name"], self.query(tree["expr"]))

    def _sources(self, tree: Tree | None) -> Iterator[nodes.Source]:
        is_first = True
        while tree is not None:
            for name, said in REFUSED_OF_A_SOURCE.items():
                if tree.get(name) not in (None, False):
                    raise self._error(HogQLRefused, f"{said}: not part of HogQL here.", tree)
            yield self._source(tree, is_first=is_first)
            is_first = False
            tree = tree.get("next_join")

    def _source(self, tree: Tree, *, is_first: bool) -> nodes.Source:
        kind = None if is_first else JOINS.get(tree.get("join_type", ""))
        if not is_first and kind is None:
            raise self._error(HogQLRefused, f"{tree.get('join_type')} is not part of HogQL.", tree)
        on, constraint = None, tree.get("constraint")
        if constraint is not None:
            if constraint["constraint_type"] != "ON":
                raise self._error(HogQLRefused, "USING: write ON a.x = b.x.", constraint)
            on = self.expr(constraint["expr"])
        if (kind in (None, nodes.JoinKind.CROSS)) != (on is None):
            raise self._error(HogQLRefused, "A join has ON, and a CROSS JOIN has none.", tree)
        return nodes.Source(
            at_of(tree), self._table(tree["table"]), tree.get("alias") or "", kind, on
        )

    def _table(self, tree: Tree) -> tuple[str, ...] | Query:
        match tree["node"]:
            case "Field":
                return tuple(map(str, tree["chain"]))
            case "SelectQuery" | "SelectSetQuery":
                return self.query(tree)
            case "Placeholder":
                raise self._error(
                    HogQLRefused, "A placeholder stands for a value, not for a table.", tree
                )
            case _:
                raise self._refused(tree)

    def _set(self, tree: Tree) -> Query:
        """The flat list as a tree: INTERSECT binds closer, the others from left to right."""
        members = [tree["initial_select_query"]]
        members += [part["select_query"] for part in tree["subsequent_select_queries"]]
        # Each is a level of what they are made into.
        if self._depth + len(members) > MAX_DEPTH:
            raise self._error(HogQLTooComplex, "The query has too many parts.", tree)
        ops = [part["set_operator"] for part in tree["subsequent_select_queries"]]
        for member in members:
            self._refuse_ordered(member)
        queries = [self.query(member) for member in members]
        # WITH before the first part is for all of them, in its parentheses for itself.
        ctes: tuple[nodes.Cte, ...] = ()
        first = queries[0]
        if isinstance(first, nodes.Select) and not self._is_in_parentheses(members[0]):
            ctes, queries[0] = first.ctes, replace(first, ctes=())
        for closer in (("INTERSECT",), tuple(op for op in nodes.SetOp if op != "INTERSECT")):
            queries, ops = self._grouped(tree, queries, ops, closer)
        if ops:
            raise self._error(HogQLRefused, f"{ops[0]} is not part of HogQL here.", tree)
        whole = queries[0]
        if not isinstance(whole, nodes.SetQuery):
            raise self._refused(tree)
        limits = self._limits(tree)
        return replace(whole, ctes=ctes, limit=limits["limit"], offset=limits["offset"])

    def _grouped(
        self, tree: Tree, queries: list[Query], ops: list[str], wanted: Sequence[str]
    ) -> tuple[list[Query], list[str]]:
        done, left = [queries[0]], list[str]()
        for op, query in zip(ops, queries[1:], strict=True):
            if op in wanted:
                done[-1] = nodes.SetQuery(at_of(tree), done[-1], nodes.SetOp(op), query)
            else:
                done.append(query)
                left.append(op)
        return done, left

    def _refuse_ordered(self, member: Tree) -> None:
        """``a UNION ALL b ORDER BY x``: of all for some, of b alone for ClickHouse."""
        has_own = any(member.get(name) for name in ("order_by", "limit", "offset", "limit_by"))
        if has_own and member["node"] == "SelectQuery" and not self._is_in_parentheses(member):
            raise self._error(
                HogQLRefused,
                "ORDER BY and LIMIT of one part of a set operation need parentheses around it.",
                member,
                hint="For all parts: SELECT … FROM (a UNION ALL b) ORDER BY …",
            )

    def _is_in_parentheses(self, tree: Tree) -> bool:
        return source.is_in_parentheses(self._found, at_of(tree), tree["end"]["offset"])
