"""Expressions: names become columns, calls become functions, and each has a type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import NoReturn

from warehouse.hogql import filters, lambdas, members, nodes, tree, types
from warehouse.hogql.arguments import Arguments
from warehouse.hogql.catalog import nearest
from warehouse.hogql.errors import FunctionRefused, HogQLRefused, TypesDiffer
from warehouse.hogql.functions import lookup
from warehouse.hogql.functions.table import Function, Use
from warehouse.hogql.rewritten import rewritten, step_of
from warehouse.hogql.scope import Scope
from warehouse.hogql.source import Place
from warehouse.hogql.types import Kind, Type
from warehouse.hogql.values import Values

CAST_TYPES = {
    "string": types.STRING, "text": types.STRING, "varchar": types.STRING,
    "int64": types.INT, "int32": types.INT, "int": types.INT, "integer": types.INT,
    "bigint": types.INT, "float64": types.FLOAT, "float": types.FLOAT, "double": types.FLOAT,
    "date": types.DATE, "datetime": types.DATETIME, "timestamp": types.DATETIME,
    "bool": types.BOOL, "boolean": types.BOOL,
}  # fmt: skip
CASTS = {
    Kind.STRING: (Kind.STRING, Kind.INT, Kind.DATE),
    Kind.INT: (Kind.INT, Kind.STRING),
    Kind.FLOAT: types.NUMBERS,
    Kind.DECIMAL: (Kind.INT, Kind.DECIMAL, Kind.STRING),
    Kind.DATE: (*types.TIMES, Kind.STRING),
    Kind.DATETIME: types.TIMES,
    Kind.BOOL: (Kind.BOOL,),
}
"""What may be cast to a kind with one meaning everywhere; the rest has a function of its own."""
SubQuery = Callable[[nodes.Query, Scope], tree.Query]


@dataclass(frozen=True)
class Expressions:
    """Resolves the expressions of one text."""

    text: str
    values: Values
    subquery: SubQuery

    @property
    def _arguments(self) -> Arguments:
        return Arguments(self.text)

    def place(self, at: int) -> Place:
        return Place.of(self.text, at)

    def resolve(  # noqa: C901 one case for each kind of node
        self, node: nodes.Expr, scope: Scope
    ) -> tree.Expr:
        """Raises HogQLError with the place of what is wrong."""
        match node:
            case nodes.Constant():
                return self._literal(node)
            case nodes.Placeholder(name=filters.NAME):
                return self._filters(node, scope)
            case nodes.Placeholder():
                return self.values.param(node, self.place(node.at))
            case nodes.Name():
                return self._name(node, scope)
            case nodes.Call():
                return self._call(node, scope)
            case nodes.Array():
                return self._array(node, scope)
            case nodes.Cast():
                return self._cast(node, scope)
            case nodes.In():
                return self._in(node, scope)
            case nodes.Exists():
                return tree.Exists(node.at, types.BOOL, self.subquery(node.query, scope))
            case nodes.Scalar():
                return self._scalar(node, scope)
            case nodes.Over():
                return self._over(node, scope)
            case _:
                what = type(node).__name__.lower()
                raise HogQLRefused(f"Here stands no {what}.", self.place(node.at))

    def all(self, found: Sequence[nodes.Expr], scope: Scope) -> tuple[tree.Expr, ...]:
        return tuple(self.resolve(node, scope) for node in found)

    def condition(self, node: nodes.Expr | None, scope: Scope, clause: str) -> tree.Expr | None:
        """Of WHERE, ON, HAVING or QUALIFY."""
        if node is None:
            return None
        found = self.resolve(node, scope)
        if found.type.kind not in (Kind.BOOL, Kind.NULL):
            raise TypesDiffer(f"{clause} needs a bool, not {found.type}.", self.place(node.at))
        return found

    def orders(self, found: Sequence[nodes.Order], scope: Scope) -> tuple[tree.Order, ...]:
        return tuple(
            tree.Order(one.at, self.resolve(one.expr, scope), one.descending, one.nulls_first)
            for one in found
        )

    def _literal(self, node: nodes.Constant) -> tree.Literal:
        kind = _type_of(node.value)
        if kind.kind == Kind.DECIMAL and types.digits(node.value) > types.MOST_DIGITS:
            raise TypesDiffer(
                f"A number has {types.MOST_DIGITS} digits at most.",
                self.place(node.at),
                hint="Write it as a text, or with an exponent as a float.",
            )
        return tree.Literal(node.at, kind, node.value)

    def _name(self, node: nodes.Name, scope: Scope) -> tree.Expr:
        if "*" in node.chain:
            raise HogQLRefused("* stands alone in a select list.", self.place(node.at))
        return scope.find(node.chain, node.at, self.place(node.at))

    def _filters(self, node: nodes.Placeholder, scope: Scope) -> tree.Expr:
        """The condition on the events of this part of the query."""
        place = self.place(node.at)
        events = [one for one in scope.relations if one.table is not None and one.table.is_events]
        if len(events) != 1:
            raise HogQLRefused(
                f"{{filters}} needs one events table beside it, and here are {len(events)}.",
                place,
                hint="Put it into the WHERE of a SELECT … FROM events.",
            )
        bind = partial(self.values.bound, node.at)
        given = self.values.filters(place)
        return self.resolve(filters.condition(given, events[0].called[-1], node.at, bind), scope)

    # Calls.

    def _call(self, node: nodes.Call, scope: Scope) -> tree.Expr:
        node = rewritten(node, self.text)
        args = self._args(node, scope)
        if (member := members.call(node, args)) is not None:
            return member
        condition = self.condition(node.condition, scope, "FILTER")
        found, meanings = lookup.named(node.name), list[Function]()
        if not found and (meanings := lookup.conditional(node.name)) and args:
            *rest, last = args
            if last.type.kind not in (Kind.BOOL, Kind.NULL) or condition is not None:
                raise TypesDiffer(f"{node.name} ends with a condition.", self.place(node.at))
            found, args, condition = meanings, tuple(rest), last
        if not found:
            self._no_function(node)
        call = self._arguments.fitted(node, found, args)
        params = self._levels(node, call.function)
        if (node.distinct or condition is not None) and call.function.use != Use.AGGREGATE:
            raise FunctionRefused(f"{node.name} is no aggregate.", self.place(node.at))
        if node.distinct and (call.function.name not in ("count", "sum") or not args):
            raise FunctionRefused("DISTINCT goes with count(x) and sum(x).", self.place(node.at))
        return replace(call, params=params, distinct=node.distinct, condition=condition)

    def _args(self, node: nodes.Call, scope: Scope) -> tuple[tree.Expr, ...]:
        if not node.args or not isinstance(node.args[0], nodes.Lambda):
            return self.all(node.args, scope)
        # What a lambda's parameters are is told by the arrays behind it.
        arrays = self.all(node.args[1:], scope)
        return lambdas.resolved(node.args[0], arrays, scope, self), *arrays

    def _no_function(self, node: nodes.Call) -> NoReturn:
        if step_of(node):
            # Nobody has written the name that the parser gives it.
            raise HogQLRefused(
                "INTERVAL stands beside + and -, or in toStartOfInterval.", self.place(node.at)
            )
        if (hint := lookup.instead(node.name)) is None:
            near = nearest(node.name, lookup.names())
            hint = f"Did you mean {' or '.join(near)}?" if near else FunctionRefused.hint
        raise FunctionRefused(f"There is no function {node.name}.", self.place(node.at), hint=hint)

    def _levels(self, node: nodes.Call, function: Function) -> tuple[tree.Expr, ...]:
        if len(node.params) != function.params:
            raise FunctionRefused(
                f"{node.name} takes {function.params} levels in parentheses before its arguments.",
                self.place(node.at),
            )
        for param in node.params:
            value = param.value if isinstance(param, nodes.Constant) else None
            if (
                isinstance(value, bool)
                or not isinstance(value, int | Decimal)
                or not 0 <= value <= 1
            ):
                raise FunctionRefused("A level is a number from 0 to 1.", self.place(param.at))
        return tuple(
            tree.Literal(one.at, types.DECIMAL, one.value)
            for one in node.params
            if isinstance(one, nodes.Constant)
        )

    # Others.

    def _array(self, node: nodes.Array, scope: Scope) -> tree.Expr:
        items = self._arguments.united(list(self.all(node.items, scope)))
        if items is None:
            raise TypesDiffer("The items of an array are of one type.", self.place(node.at))
        item = types.common(*(one.type for one in items)) or types.NULL
        return tree.Array(node.at, Type(Kind.ARRAY, item=item), tuple(items))

    def _cast(self, node: nodes.Cast, scope: Scope) -> tree.Expr:
        expr = self.resolve(node.expr, scope)
        wanted = CAST_TYPES.get(node.type_name.lower())
        if (member := members.cast(expr, wanted)) is not None:
            return member
        if node.type_name.lower() in ("decimal", "numeric"):
            digits, scale = (*node.args, 0, 0)[:2]
            if not 1 <= digits <= types.MOST_DIGITS or not 0 <= scale <= digits:
                raise TypesDiffer("A decimal is Decimal(digits, scale).", self.place(node.at))
            wanted = Type(Kind.DECIMAL, scale=scale)
        elif node.args:
            wanted = None
        if wanted is None:
            raise TypesDiffer(f"Nothing is cast to {node.type_name}.", self.place(node.at))
        if expr.type.kind != Kind.NULL and expr.type.kind not in CASTS[wanted.kind]:
            raise TypesDiffer(
                f"{expr.type} is not cast to {wanted}.",
                self.place(node.at),
                hint="toInt, toFloat, toString and toDate say what becomes of which.",
            )
        return self._arguments.as_type(expr, wanted)

    def _in(self, node: nodes.In, scope: Scope) -> tree.Expr:
        left = self._row(node.expr, scope)
        if isinstance(node.items, nodes.Query):
            return self._in_query(node, left, self.subquery(node.items, scope))
        items = tuple(
            item
            for given in node.items
            for item in (
                self.values.listed(given, self.place(given.at))
                if isinstance(given, nodes.Placeholder)
                else (self._row(given, scope),)
            )
        )
        if isinstance(left, tree.Tuple):
            for item in items:
                if not isinstance(item, tree.Tuple) or len(item.items) != len(left.items):
                    raise TypesDiffer("The rows of IN differ in length.", self.place(item.at))
                for ours, theirs in zip(left.items, item.items, strict=True):
                    self._comparable(item.at, ours.type, theirs.type)
            return tree.In(node.at, types.BOOL, left, items, node.negated)
        for item in items:
            # A list with NULL is read in two ways: for ClickHouse NOT IN passes over it.
            if item.type.kind == Kind.NULL:
                raise TypesDiffer("A list of IN holds values, not NULL.", self.place(item.at))
        united = self._arguments.united([left, *items])
        if united is None or not items:
            raise TypesDiffer("The values of IN do not go together.", self.place(node.at))
        return tree.In(node.at, types.BOOL, united[0], tuple(united[1:]), node.negated)

    def _in_query(self, node: nodes.In, left: tree.Expr, query: tree.Query) -> tree.Expr:
        mine = left.items if isinstance(left, tree.Tuple) else (left,)
        if len(query.columns) != len(mine):
            raise TypesDiffer("The columns of IN differ in number.", self.place(node.at))
        for ours, (_, theirs) in zip(mine, query.columns, strict=True):
            self._comparable(node.at, ours.type, theirs)
        return tree.In(node.at, types.BOOL, left, query, node.negated)

    def _row(self, node: nodes.Expr, scope: Scope) -> tree.Expr:
        if isinstance(node, nodes.Tuple):
            items = self.all(node.items, scope)
            return tree.Tuple(node.at, types.NULL, items)
        return self.resolve(node, scope)

    def _comparable(self, at: int, a: Type, b: Type) -> None:
        if types.common(a, b) is None and Kind.OTHER not in (a.kind, b.kind):
            raise TypesDiffer(f"{a} is not compared with {b}.", self.place(at))

    def _scalar(self, node: nodes.Scalar, scope: Scope) -> tree.Expr:
        query = self.subquery(node.query, scope)
        if len(query.columns) != 1:
            raise TypesDiffer("A query in place of a value has one column.", self.place(node.at))
        return tree.Scalar(node.at, query.columns[0][1], query)

    def _over(self, node: nodes.Over, scope: Scope) -> tree.Expr:
        call = self._call(node.call, scope)
        if not isinstance(call, tree.Call) or call.function.use == Use.SCALAR:
            raise FunctionRefused(f"{node.call.name} takes no OVER.", self.place(node.at))
        window = node.window
        if window.method not in ("", "ROWS", "RANGE") or (
            window.method == "RANGE" and (_counts(window.start) or _counts(window.end))
        ):
            raise HogQLRefused("A frame is ROWS, or RANGE without numbers.", self.place(node.at))
        return tree.Window(
            node.at,
            call.type,
            call,
            self.all(window.partition_by, scope),
            self.orders(window.order_by, scope),
            window.method,
            _bound(window.start),
            _bound(window.end),
        )


def _bound(bound: nodes.Bound | None) -> tree.Bound | None:
    return None if bound is None else tree.Bound(bound.at, bound.rows, bound.following)


def _counts(bound: nodes.Bound | None) -> bool:
    return bound is not None and bool(bound.rows)


def _type_of(value: object) -> Type:
    match value:
        case None:
            return types.NULL
        case bool():
            return types.BOOL
        case int():
            return types.INT if -(2**63) <= value < 2**63 else Type(Kind.DECIMAL, scale=0)
        case Decimal():
            return Type(Kind.DECIMAL, scale=max(0, -int(value.as_tuple().exponent)))
        case float():
            return types.FLOAT
        case _:
            return types.STRING
