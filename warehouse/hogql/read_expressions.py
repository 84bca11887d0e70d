"""The parser's expressions as nodes of ours; what they have no place for is refused by its name."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from warehouse.hogql import nodes, source
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
EXACT = re.compile(r"(?P<sign>[+-]?)\s*(?P<digits>\d*\.?\d*)(?P<exponent>[eE][+-]?\d+)?")
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\0")
NULLS: Mapping[tuple[str, ...], bool] = {("NULLS", "FIRST"): True, ("NULLS", "LAST"): False}


class ExpressionReader(ABC):
    """Reads the expressions of one text."""

    def __init__(self, text: str, found: Sequence[Piece]) -> None:
        self._text = text
        self._found = found
        self._depth = 0
        self._nodes = 0
        self._windows: dict[str, nodes.WindowSpec] = {}

    @abstractmethod
    def query(self, tree: Tree) -> Query:
        """A query within an expression."""

    def _enter(self, tree: Tree) -> None:
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            raise HogQLTooComplex("The query is nested too deeply.", self._place(tree))
        if self._nodes > MAX_NODES:
            raise HogQLTooComplex(f"The query has more than {MAX_NODES:,} parts.")

    def expr(self, tree: Tree) -> Expr:
        """Any expression but one of a select list."""
        self._enter(tree)
        node = self._expr(tree)
        self._depth -= 1
        return node

    def _expr(self, tree: Tree) -> Expr:  # noqa: C901 one case for each kind of node
        at = at_of(tree)
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
            return nodes.Item(at_of(tree), self.expr(tree["expr"]), tree["alias"])
        return nodes.Item(at_of(tree), self.expr(tree), "")

    def _value(self, tree: Tree) -> bool | int | float | Decimal | str | None:
        value = tree.get("value")
        if value is None or isinstance(value, bool):
            return value
        if tree.get("value_type") == "number":
            if not str(value).lstrip("-").isdigit():
                raise self._error(HogQLRefused, f"{value} is not a number here.", tree)
            return Decimal(value)
        if isinstance(value, str) and NUL.search(self._text[at_of(tree) : _end_of(tree)]):
            # The parser drops it.
            raise self._error(HogQLUnreadable, "No text has a NUL in it.", tree)
        if isinstance(value, str | int):
            return value
        # The parser has rounded it to a double; the text has all its digits.
        found = EXACT.fullmatch(self._text[at_of(tree) : _end_of(tree)])
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
        if name.startswith("hogql_") or not name.isascii() or not name.isidentifier():
            raise self._error(HogQLRefused, f"{{{name}}} is not a placeholder here.", tree)
        return nodes.Placeholder(at_of(tree), name)

    def _binary(self, at: int, name: str, tree: Tree) -> nodes.Call:
        return nodes.Call(at, name, (self.expr(tree["left"]), self.expr(tree["right"])))

    def _comparison(self, tree: Tree) -> Expr:
        op, at = tree["op"], at_of(tree)
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
                    items = (nodes.Tuple(at_of(right), items),)
            case _:
                items = (self.expr(right),)
        return nodes.In(at_of(tree), left, items, tree["op"] == "not in")

    def _between_bounds(self, tree: Tree) -> Expr:
        at = at_of(tree)
        value = self.expr(tree["expr"])
        low = nodes.Call(at, "greaterOrEquals", (value, self.expr(tree["low"])))
        high = nodes.Call(at, "lessOrEquals", (value, self.expr(tree["high"])))
        both = nodes.Call(at, "and", (low, high))
        return nodes.Call(at, "not", (both,)) if tree.get("negated") else both

    def _call(self, tree: Tree) -> Expr:
        at, name, args = at_of(tree), tree["name"], tree["args"]
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
        at = at_of(tree)
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
        return nodes.Cast(at_of(tree), self.expr(cast["expr"]), cast["type_name"], args)

    # Windows and orders.

    def _over(self, tree: Tree) -> nodes.Over:
        at, named = at_of(tree), tree.get("over_identifier")
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
            at_of(tree),
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
            return nodes.Bound(at_of(window), 0, following=False)
        if value is not None and type(value) is not int:
            raise self._error(HogQLRefused, "A frame is counted in whole rows.", window)
        return nodes.Bound(at_of(window), value, following=kind == "FOLLOWING")

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
            at_of(tree), self.expr(tree["expr"]), tree["order"] == "DESC", nulls_first
        )

    # Small things.

    def _exprs(self, trees: Sequence[Tree] | None) -> tuple[Expr, ...]:
        return tuple(self.expr(tree) for tree in trees or ())

    def _maybe(self, tree: Tree | None) -> Expr | None:
        return None if tree is None else self.expr(tree)

    def _between(self, first: Tree, second: Tree) -> list[str]:
        return source.words_between(self._found, first["end"]["offset"], at_of(second))

    def _place(self, tree: Tree) -> Place:
        return Place.of(self._text, at_of(tree))

    def _refused(self, tree: Tree) -> HogQLError:
        name = REFUSED.get(tree["node"], tree["node"])
        return self._error(HogQLRefused, f"{name}: not part of HogQL here.", tree)

    def _error(
        self, kind: type[HogQLError], message: str, tree: Tree, *, hint: str | None = None
    ) -> HogQLError:
        return kind(message, self._place(tree), hint=hint)


def _end_of(tree: Tree) -> int:
    return int(tree["end"]["offset"]) if "end" in tree else 0


def at_of(tree: Tree) -> int:
    """A constant that the parser made up stands nowhere."""
    return int(tree["start"]["offset"]) if "start" in tree else 0
