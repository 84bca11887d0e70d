"""The parser's tree to nodes of ours; what they have no place for is refused by its name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from warehouse.hogql import nodes, parser, source
from warehouse.hogql.errors import HogQLError, HogQLRefused, HogQLTooComplex, HogQLUnreadable
from warehouse.hogql.nodes import Expr, Query
from warehouse.hogql.source import Piece, Place

MAX_DEPTH = 100
"""How deep nodes may nest: what follows walks them by recursion."""
MAX_NODES = 20_000
Tree = Mapping[str, Any]

COMPARISONS = {
    "==": "equals",
    "!=": "notEquals",
    "<": "less",
    ">": "greater",
    "<=": "lessOrEquals",
    ">=": "greaterOrEquals",
    "like": "like",
    "ilike": "ilike",
    "not like": "notLike",
    "not ilike": "notILike",
}
ARITHMETIC = {"+": "plus", "-": "minus", "*": "multiply", "/": "divide", "%": "modulo"}
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
REFUSED = {
    "ColumnsExpr": "COLUMNS and EXCLUDE",
    "Dict": "A dictionary {…: …}",
    "HogQLXTag": "A HogQLX tag",
    "IsDistinctFrom": "IS DISTINCT FROM",
    "PivotExpr": "PIVOT",
    "SpreadExpr": "A spread",
    "TryCast": "TRY_CAST",
    "TupleAccess": "Access to a tuple",
    "UnpivotExpr": "UNPIVOT",
    "ValuesQuery": "VALUES",
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
EXACT = re.compile(r"(?P<sign>[+-]?)\s*(?P<digits>\d*\.?\d*)(?P<exponent>[eE][+-]?\d+)?")
NULLS = {("NULLS", "FIRST"): True, ("NULLS", "LAST"): False}


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


class _Reader:
    def __init__(self, text: str, found: Sequence[Piece]) -> None:
        self._text = text
        self._found = found
        self._depth = 0
        self._nodes = 0
        self._windows: dict[str, nodes.WindowSpec] = {}

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

    def _enter(self, tree: Tree) -> None:
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            raise HogQLTooComplex("The query is nested too deeply.", self._place(tree))
        if self._nodes > MAX_NODES:
            raise HogQLTooComplex(f"The query has more than {MAX_NODES:,} parts.")

    # Queries.

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
            _at(tree),
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
            _at(tree), self._count(tree["n"]) or 0, offset, self._exprs(tree["exprs"])
        )

    def _cte(self, tree: Tree) -> nodes.Cte:
        if tree["cte_type"] != "subquery":
            raise self._error(HogQLRefused, "WITH value AS name: give it in the select list.", tree)
        for name in ("columns", "using_key", "recursive"):
            if tree.get(name):
                raise self._error(HogQLRefused, f"WITH … {name}: not part of HogQL here.", tree)
        return nodes.Cte(_at(tree), tree["name"], self.query(tree["expr"]))

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
        return nodes.Source(_at(tree), self._table(tree["table"]), tree.get("alias") or "", kind, on)

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
        ops = [part["set_operator"] for part in tree["subsequent_select_queries"]]
        for member in members[:-1]:
            self._refuse_ordered(member)
        self._refuse_ordered(members[-1])
        queries = [self.query(member) for member in members]
        for closer in (("INTERSECT",), tuple(op for op in nodes.SetOp if op != "INTERSECT")):
            queries, ops = self._grouped(tree, queries, ops, closer)
        if ops:
            raise self._error(HogQLRefused, f"{ops[0]} is not part of HogQL here.", tree)
        limits = self._limits(tree)
        whole = queries[0]
        if limits["limit"] is None and limits["offset"] is None:
            return whole
        if not isinstance(whole, nodes.SetQuery):
            raise self._refused(tree)
        return nodes.SetQuery(whole.at, whole.left, whole.op, whole.right, **limits)

    def _grouped(
        self, tree: Tree, queries: list[Query], ops: list[str], wanted: Sequence[str]
    ) -> tuple[list[Query], list[str]]:
        done, left = [queries[0]], list[str]()
        for op, query in zip(ops, queries[1:], strict=True):
            if op in wanted:
                done[-1] = nodes.SetQuery(_at(tree), done[-1], nodes.SetOp(op), query)
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
        before = [piece for piece in self._found if piece.offset < _at(tree)]
        return bool(before) and before[-1].text == "("

    # Expressions.

    def expr(self, tree: Tree) -> Expr:
        """Any expression but one of a select list."""
        self._enter(tree)
        node = self._expr(tree)
        self._depth -= 1
        return node

    def _expr(self, tree: Tree) -> Expr:
        at = _at(tree)
        match tree["node"]:
            case "Constant":
                return nodes.Constant(at, self._value(tree))
            case "Field":
                return nodes.Name(at, tuple(map(str, tree["chain"])))
            case "Placeholder":
                return self._placeholder(tree)
            case "And" | "Or":
                return nodes.Call(at, tree["node"].lower(), self._exprs(tree["exprs"]))
            case "Not":
                return nodes.Call(at, "not", (self.expr(tree["expr"]),))
            case "ArithmeticOperation":
                return self._binary(at, ARITHMETIC[tree["op"]], tree)
            case "CompareOperation":
                return self._comparison(tree)
            case "BetweenExpr":
                return self._between_bounds(tree)
            case "Call":
                return self._call(tree)
            case "WindowFunction":
                return self._over(tree)
            case "TypeCast" | "ExprCall":
                return self._cast(tree)
            case "SelectQuery" | "SelectSetQuery":
                return nodes.Scalar(at, self.query(tree))
            case "Tuple":
                return nodes.Tuple(at, self._exprs(tree["exprs"]))
            case "Array":
                return nodes.Array(at, self._exprs(tree["exprs"]))
            case "ArrayAccess" if not tree.get("nullish"):
                place = self.expr(tree["property"])
                return nodes.Call(at, "arrayElement", (self.expr(tree["array"]), place))
            case "Lambda":
                return nodes.Lambda(at, tuple(tree["args"]), self.expr(tree["expr"]))
            case "Alias":
                raise self._error(HogQLRefused, "AS stands in a select list only.", tree)
            case _:
                raise self._refused(tree)

    def _item(self, tree: Tree) -> nodes.Item:
        if tree["node"] == "Alias":
            return nodes.Item(_at(tree), self.expr(tree["expr"]), tree["alias"])
        return nodes.Item(_at(tree), self.expr(tree), "")

    def _value(self, tree: Tree) -> None | bool | int | float | Decimal | str:
        value = tree.get("value")
        if value is None or isinstance(value, bool):
            return value
        if tree.get("value_type") == "number":
            if not str(value).lstrip("-").isdigit():
                raise self._error(HogQLRefused, f"{value} is not a number here.", tree)
            return Decimal(value)
        if isinstance(value, str | int):
            return value
        # The parser has rounded it to a double; the text has all its digits.
        found = EXACT.fullmatch(self._text[_at(tree) : tree["end"]["offset"]])
        if found is None:
            raise self._error(HogQLUnreadable, "This number cannot be read.", tree)
        if found["exponent"]:
            return float(value)
        return Decimal(found["sign"] + found["digits"])

    def _placeholder(self, tree: Tree) -> nodes.Placeholder:
        inner = tree["expr"]
        if inner["node"] != "Field" or len(inner["chain"]) != 1:
            raise self._error(HogQLRefused, "A placeholder is one name: {name}.", tree)
        name = str(inner["chain"][0])
        if name == "filters" or not name.isascii() or not name.isidentifier():
            raise self._error(HogQLRefused, f"{{{name}}} is not a placeholder here.", tree)
        return nodes.Placeholder(_at(tree), name)

    def _binary(self, at: int, name: str, tree: Tree) -> nodes.Call:
        return nodes.Call(at, name, (self.expr(tree["left"]), self.expr(tree["right"])))

    def _comparison(self, tree: Tree) -> Expr:
        op, at = tree["op"], _at(tree)
        if tree.get("is_null_comparison_style"):
            name = "isNull" if op == "==" else "isNotNull"
            return nodes.Call(at, name, (self.expr(tree["left"]),))
        if op in ("in", "not in"):
            return self._in(tree)
        if op not in COMPARISONS:
            raise self._error(HogQLRefused, f"The operator {op} is not part of HogQL here.", tree)
        return self._binary(at, COMPARISONS[op], tree)

    def _in(self, tree: Tree) -> nodes.In:
        left, right = self.expr(tree["left"]), tree["right"]
        items: tuple[Expr, ...] | Query
        match right["node"]:
            case "SelectQuery" | "SelectSetQuery":
                items = self.query(right)
            case "Tuple":
                items = self._exprs(right["exprs"])
                if isinstance(left, nodes.Tuple) and not any(
                    isinstance(item, nodes.Tuple) for item in items
                ):
                    # (a, b) IN ((1, 2)): the parser takes the inner parentheses for the list.
                    items = (nodes.Tuple(_at(right), items),)
            case _:
                items = (self.expr(right),)
        return nodes.In(_at(tree), left, items, tree["op"] == "not in")

    def _between_bounds(self, tree: Tree) -> Expr:
        at = _at(tree)
        value = self.expr(tree["expr"])
        low = nodes.Call(at, "greaterOrEquals", (value, self.expr(tree["low"])))
        high = nodes.Call(at, "lessOrEquals", (value, self.expr(tree["high"])))
        both = nodes.Call(at, "and", (low, high))
        return nodes.Call(at, "not", (both,)) if tree.get("negated") else both

    def _call(self, tree: Tree) -> Expr:
        at, name, args = _at(tree), tree["name"], tree["args"]
        if tree.get("order_by"):
            raise self._error(HogQLRefused, f"{name}(… ORDER BY …) is not part of HogQL.", tree)
        if name.lower() == "exists" and len(args) == 1 and args[0]["node"].startswith("Select"):
            return nodes.Exists(at, self.query(args[0]))
        if name == "_caseWithExpression":
            return self._case(tree)
        if len(args) == 1 and args[0].get("chain") == ["*"]:
            args = []
            if name.lower() != "count":
                raise self._error(HogQLRefused, f"{name}(*) is not part of HogQL here.", tree)
        condition = self._maybe(tree.get("filter_expr"))
        return nodes.Call(
            at,
            name,
            self._exprs(args),
            self._exprs(tree.get("params")),
            bool(tree.get("distinct")),
            condition,
        )

    def _case(self, tree: Tree) -> nodes.Call:
        """``CASE x WHEN 1 THEN …`` as ``multiIf(x = 1, …)``."""
        at = _at(tree)
        subject, *rest = self._exprs(tree["args"])
        args: list[Expr] = []
        for when, then in zip(rest[:-1:2], rest[1:-1:2], strict=True):
            args += [nodes.Call(when.at, "equals", (subject, when)), then]
        return nodes.Call(at, "multiIf", (*args, rest[-1]))

    def _cast(self, tree: Tree) -> nodes.Cast:
        args: tuple[int, ...] = ()
        cast = tree
        if tree["node"] == "ExprCall":
            cast = tree["expr"]
            if cast["node"] != "TypeCast":
                raise self._error(HogQLRefused, "Only a function by its name is called.", tree)
            given = [arg.get("value") for arg in tree["args"]]
            if not all(type(value) is int for value in given):
                raise self._error(HogQLRefused, "A type's size is a number.", tree)
            args = tuple(given)
        return nodes.Cast(_at(tree), self.expr(cast["expr"]), cast["type_name"], args)

    # Windows and orders.

    def _over(self, tree: Tree) -> nodes.Over:
        at, named = _at(tree), tree.get("over_identifier")
        if tree.get("distinct") or tree.get("filter_expr") or tree.get("args"):
            raise self._error(HogQLRefused, "DISTINCT and FILTER before OVER.", tree)
        if named:
            if named not in self._windows:
                raise self._error(HogQLUnreadable, f"There is no window {named}.", tree)
            window = self._windows[named]
        else:
            window = self._window(tree["over_expr"])
        return nodes.Over(at, nodes.Call(at, tree["name"], self._exprs(tree.get("exprs"))), window)

    def _window(self, tree: Tree) -> nodes.WindowSpec:
        start, end = tree.get("frame_start"), tree.get("frame_end")
        return nodes.WindowSpec(
            _at(tree),
            self._exprs(tree.get("partition_by")),
            self._orders(tree.get("order_by")),
            tree.get("frame_method") or "",
            self._frame_bound(start, tree),
            self._frame_bound(end, tree),
        )

    def _frame_bound(self, tree: Tree | None, window: Tree) -> nodes.Bound | None:
        if tree is None:
            return None
        kind, value = tree["frame_type"], tree.get("frame_value")
        if kind == "CURRENT ROW":
            return nodes.Bound(_at(window), 0, following=False)
        if value is not None and type(value) is not int:
            raise self._error(HogQLRefused, "A frame is counted in whole rows.", window)
        return nodes.Bound(_at(window), value, following=kind == "FOLLOWING")

    def _orders(self, trees: Sequence[Tree] | None) -> tuple[nodes.Order, ...]:
        return tuple(self._order(tree) for tree in trees or ())

    def _order(self, tree: Tree) -> nodes.Order:
        if tree.get("with_fill"):
            raise self._error(HogQLRefused, "WITH FILL: not part of HogQL here.", tree)
        # The parser drops NULLS FIRST and LAST; both stand between the expression and the end.
        start, end = tree["expr"]["end"]["offset"], tree["end"]["offset"]
        words = source.words_between(self._found, start, end)
        nulls_first = NULLS.get(tuple(words[-2:]), False)
        return nodes.Order(
            _at(tree), self.expr(tree["expr"]), tree["order"] == "DESC", nulls_first
        )

    # Small things.

    def _exprs(self, trees: Sequence[Tree] | None) -> tuple[Expr, ...]:
        return tuple(self.expr(tree) for tree in trees or ())

    def _maybe(self, tree: Tree | None) -> Expr | None:
        return None if tree is None else self.expr(tree)

    def _between(self, first: Tree, second: Tree) -> list[str]:
        return source.words_between(self._found, first["end"]["offset"], _at(second))

    def _place(self, tree: Tree) -> Place:
        return Place.of(self._text, _at(tree))

    def _refused(self, tree: Tree) -> HogQLError:
        name = REFUSED.get(tree["node"], tree["node"])
        return self._error(HogQLRefused, f"{name}: not part of HogQL here.", tree)

    def _error(
        self, kind: type[HogQLError], message: str, tree: Tree, *, hint: str | None = None
    ) -> HogQLError:
        return kind(message, self._place(tree), hint=hint)


def _at(tree: Tree) -> int:
    """A constant that the parser made up stands nowhere."""
    return int(tree["start"]["offset"]) if "start" in tree else 0
