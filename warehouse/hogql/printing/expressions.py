"""Expressions as nodes of sqlglot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

from sqlglot import exp

from warehouse.hogql import tree
from warehouse.hogql.errors import FunctionRefused, HogQLRefused
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.functions.table import Use
from warehouse.hogql.printing import scalars
from warehouse.hogql.printing.dialects import DIALECTS, Dialect
from warehouse.hogql.printing.lists import gathered
from warehouse.hogql.printing.templates import apart, filled
from warehouse.hogql.source import Place
from warehouse.hogql.types import STRING, Kind, Type

NUMERIC_DIGITS = (29, 9)
"""Of BigQuery's NUMERIC: before and after the point."""
OWN_PARAM = "hogql_text_"
Nested = Callable[[tree.Query], exp.Query]


@dataclass(frozen=True)
class Expressions:
    """Prints the expressions of one query."""

    dialect: Dialect
    text: str
    nested: Nested
    params: list[tree.Param] = field(default_factory=list)

    def node(self, expr: tree.Expr) -> exp.Expr:  # noqa: C901 one case for each kind of node
        """Raises FunctionRefused and HogQLRefused for what the dialect cannot say."""
        match expr:
            case tree.Literal():
                return self._literal(expr)
            case tree.Param():
                return self._param(expr)
            case tree.Column():
                return exp.column(quoted(expr.name), table=quoted(expr.relation), copy=False)
            case tree.Member():
                return self._member(expr)
            case tree.Call():
                return self._call(expr)
            case tree.Cast():
                return self._cast(expr)
            case tree.In():
                return self._in(expr)
            case tree.Exists():
                return exp.Exists(this=self.nested(_uncut(expr.query)))
            case tree.Scalar():
                return self._scalar(expr)
            case tree.Window():
                return self._window(expr)
            case tree.Tuple():
                return exp.Tuple(expressions=self.all(expr.items))
            case tree.Array():
                return self._array(expr)
            case tree.Variable():
                return exp.column(quoted(expr.name))
            case tree.Lambda():
                params = [quoted(name) for name in expr.params]
                return exp.Lambda(this=self.node(expr.body), expressions=params)
        raise TypeError(type(expr))

    def all(self, found: Sequence[tree.Expr]) -> list[exp.Expr]:
        return [self.node(one) for one in found]

    def ordered(self, order: tree.Order, expr: exp.Expr) -> exp.Ordered:
        return exp.Ordered(this=expr, desc=order.descending, nulls_first=order.nulls_first)

    def type_node(self, kind: Type) -> exp.DataType:
        return _parsed_type(self.dialect.type_text(kind), self.dialect.name).copy()

    def cast_to(self, node: exp.Expr, kind: Type) -> exp.Expr:
        return exp.Cast(this=node, to=self.type_node(kind))

    def _member(self, expr: tree.Member) -> exp.Expr:
        wanted = self.dialect.type_text(expr.type)
        say = self.dialect.member
        made = say(self.node(expr.expr), expr.path, wanted) if say is not None else None
        if made is None:
            raise self._unsaid("This member of a document", expr)
        return made

    def _array(self, expr: tree.Array) -> exp.Expr:
        if not self.dialect.arrays:
            raise self._unsaid("An array", expr)
        self._refuse_nested(expr)
        return exp.Array(expressions=self.all(expr.items))

    def _unsaid(self, what: str, expr: tree.Expr, hint: str | None = None) -> HogQLRefused:
        place = Place.of(self.text, expr.at)
        return HogQLRefused(f"{what} cannot be said in {self.dialect.label}.", place, hint=hint)

    # Values.

    def _literal(self, expr: tree.Literal) -> exp.Expr:
        match expr.value:
            case None:
                return exp.Null()
            case bool():
                return exp.Boolean(this=expr.value)
            case int() if expr.type.kind == Kind.INT:
                return _number(str(expr.value))
            case int() | Decimal():
                return self._decimal(Decimal(expr.value))
            case float():
                text = exp.Literal.string(repr(expr.value))
                return self.cast_to(text, expr.type)
            case str():
                return self._text(expr, expr.value)
        raise TypeError(type(expr.value))

    def _text(self, expr: tree.Literal, value: str) -> exp.Expr:
        if any(sign in value for sign in self.dialect.binds_text_with):
            number = sum(param.name.startswith(OWN_PARAM) for param in self.params)
            return self._param(tree.Param(expr.at, expr.type, f"{OWN_PARAM}{number}", value))
        return exp.Literal.string(value)

    def _decimal(self, value: Decimal) -> exp.Expr:
        """With every digit: a number with a point is a double in some dialects."""
        text = format(value, "f")
        scale = max(0, -int(value.as_tuple().exponent))
        if self.dialect.name == "bigquery":
            whole = len(text.lstrip("-").split(".")[0])
            fits = whole <= NUMERIC_DIGITS[0] and scale <= NUMERIC_DIGITS[1]
            kind = _parsed_type("NUMERIC" if fits else "BIGNUMERIC", "bigquery").copy()
            return exp.Cast(this=exp.Literal.string(text), to=kind)
        if self.dialect.name == "clickhouse":
            return self.cast_to(exp.Literal.string(text), Type(Kind.DECIMAL, scale=scale))
        return _number(text)

    def _param(self, expr: tree.Param) -> exp.Expr:
        self.params.append(expr)
        # NUL is in no query, no name and no literal, so nothing else can look like this.
        mark = exp.Var(this=f"\x00{expr.name}:{len(self.params) - 1}\x00")
        if expr.type.kind == Kind.DECIMAL and self.dialect.name == "bigquery":
            return mark
        return self.cast_to(mark, expr.type)

    def _cast(self, expr: tree.Cast) -> exp.Expr:
        inner, was = self.node(expr.expr), expr.expr.type.kind
        if was == Kind.TIMESTAMP and expr.type.kind in (Kind.DATE, Kind.DATETIME):
            inner = filled(self.dialect.utc, self.dialect.name, [inner])
            if expr.type.kind == Kind.DATETIME:
                return inner
        return self.cast_to(inner, expr.type)

    # Calls.

    def _call(self, call: tree.Call, *, is_window: bool = False) -> exp.Expr:
        form = call.function.forms.get(self.dialect.name)
        if form is None:
            raise self._no_equal(call)
        self._refuse_nested(call)
        args = self.all(self._conditional(call))
        if self.dialect.loose_texts and call.function.use != Use.SCALAR:
            args = [self.cast_to(arg, STRING) if arg.is_string else arg for arg in args]
        if call.function.name == "count" and args:
            form = "COUNT(_0)"
        made = form(args) if callable(form) else self._filled(call, form, args)
        if made is None:
            raise self._no_equal(call)
        return made if is_window or not self._widens(call) else self.cast_to(made, call.type)

    def _no_equal(self, call: tree.Call) -> FunctionRefused:
        having = ", ".join(DIALECTS[name].label for name in call.function.forms)
        return FunctionRefused(
            f"{call.function.name} has no safe equal in {self.dialect.label}.",
            Place.of(self.text, call.at),
            hint=f"It is there in {having}.",
        )

    def _refuse_nested(self, expr: tree.Expr) -> None:
        is_plain = expr.type.item is None or expr.type.item.kind not in (Kind.ARRAY, Kind.NULL)
        if not is_plain and not self.dialect.nests_arrays:
            raise self._unsaid("An array of arrays, or of nothing,", expr)

    def _widens(self, call: tree.Call) -> bool:
        # A decimal's digits after the point may not be known.
        is_sized = call.type.kind != Kind.DECIMAL or call.type.scale is not None
        return is_sized and self.dialect.name in call.function.widens_in

    def _filled(self, call: tree.Call, form: str, args: list[exp.Expr]) -> exp.Expr:
        level = _level(call.params[0]) if call.params else None
        made = filled(form, self.dialect.name, args, level)
        if call.distinct:
            for aggregate in made.find_all(exp.Count, exp.Sum):
                aggregate.set("this", exp.Distinct(expressions=[aggregate.this]))
        return made

    def _conditional(self, call: tree.Call) -> tuple[tree.Expr, ...]:
        """The arguments, NULL where the condition is not true: aggregates do not see NULL."""
        if call.condition is None:
            return call.args
        one = tree.Literal(call.at, Type(Kind.INT), 1)
        values = call.args or (one,)
        choice = named("if")[0]
        nothing = tree.Literal(call.at, Type(Kind.NULL), None)
        return tuple(
            tree.Call(call.at, value.type, choice, (call.condition, value, nothing))
            for value in values
        )

    def _in(self, expr: tree.In) -> exp.Expr:
        this = apart(self.node(expr.expr))
        if isinstance(expr.items, tree.Query):
            if isinstance(expr.expr, tree.Tuple) and not self.dialect.rows_compare:
                raise self._unsaid("(a, b) IN (SELECT …)", expr, hint="Use EXISTS.")
            query = exp.Subquery(this=self.nested(expr.items))
            found: exp.Expr = exp.In(this=this, query=query)
        else:
            found = self._in_list(this, expr.items)
        return exp.Not(this=found) if expr.negated else found

    def _in_list(self, this: exp.Expr, items: Sequence[tree.Expr]) -> exp.Expr:
        if not self.dialect.binds_arrays:
            return exp.In(this=this, expressions=self.all(items))
        single, arrays = gathered(items)
        found = [exp.In(this=this.copy(), field=self.node(one)) for one in arrays]
        if single:
            found.append(exp.In(this=this, expressions=self.all(single)))
        return found[0] if len(found) == 1 else exp.Paren(this=exp.or_(*found, copy=False))

    def _scalar(self, expr: tree.Scalar) -> exp.Expr:
        query, found = expr.query, exp.Subquery(this=self.nested(expr.query))
        if not self.dialect.misses_groups or not scalars.misses_groups(query):
            return found
        value = query.items[0].expr
        if scalars.is_count(value):
            return exp.func("ifNull", found, _number("0"))
        if (call := scalars.not_null_of_nothing(value)) is not None:
            raise HogQLRefused(
                f"{call.function.name} cannot be said in {self.dialect.label} of what may be no "
                "row in a query that depends on the one around it.",
                Place.of(self.text, call.at),
                hint="Take the count or sum alone in that query, and reckon with it outside.",
            )
        return found

    # Windows.

    def _window(self, expr: tree.Window) -> exp.Expr:
        orders = [made for one in expr.order_by for made in self._ordered_in_window(one)]
        call = self._call(expr.call, is_window=True)
        if not isinstance(call, exp.Func) or isinstance(call, exp.Case):
            raise FunctionRefused(
                f"{expr.call.function.name} takes no OVER in {self.dialect.label}.",
                Place.of(self.text, expr.at),
            )
        made: exp.Expr = exp.Window(
            this=call,
            partition_by=self.all(expr.partition_by),
            order=exp.Order(expressions=orders) if orders else None,
            spec=self._frame(expr),
        )
        return self.cast_to(made, expr.type) if self._widens(expr.call) else made

    def _ordered_in_window(self, order: tree.Order) -> list[exp.Expr]:
        """With NULLs put by a key of their own, where the dialect cannot say where they stand."""
        node = self.node(order.expr)
        if self.dialect.windows_place_nulls or order.nulls_first != order.descending:
            return [self.ordered(order, node)]
        is_null = exp.Is(this=exp.paren(self.node(order.expr)), expression=exp.Null())
        keys = (is_null, order.nulls_first), (node, order.descending)
        return [exp.Ordered(this=key, desc=desc, nulls_first=not desc) for key, desc in keys]

    def _frame(self, expr: tree.Window) -> exp.WindowSpec | None:
        by_frame = expr.call.function.use == Use.AGGREGATE or "value" in expr.call.function.name
        if not expr.order_by or not by_frame:
            return None
        method = expr.method or "RANGE"
        if method == "RANGE" and self.dialect.frames_rows_only:
            raise HogQLRefused(
                f"{self.dialect.label} needs a frame of rows here.",
                Place.of(self.text, expr.at),
                hint="Write ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW, or what you mean.",
            )
        start = expr.start or tree.Bound(expr.at, None, following=False)
        end = expr.end or tree.Bound(expr.at, 0, following=False)
        (first, first_side), (last, last_side) = _side(start), _side(end)
        return exp.WindowSpec(
            kind=method, start=first, start_side=first_side, end=last, end_side=last_side
        )


@lru_cache(maxsize=512)
def _parsed_type(text: str, dialect: str) -> exp.DataType:
    return exp.DataType.build(text, dialect=dialect)


def _uncut(query: tree.Query) -> tree.Query:
    """One that has rows where the other has any."""
    if not isinstance(query, tree.Select) or query.limit == 0 or query.offset is not None:
        return query
    return replace(query, order_by=(), limit=None)


def _level(param: tree.Expr) -> exp.Expr:
    """A bare number: it is a part of the function, and no value."""
    return exp.Literal.number(format(Decimal(str(getattr(param, "value", 0))), "f"))


def _side(bound: tree.Bound) -> tuple[str | exp.Expr, str | None]:
    if bound.rows == 0:
        return "CURRENT ROW", None
    side = "FOLLOWING" if bound.following else "PRECEDING"
    return ("UNBOUNDED" if bound.rows is None else _number(str(bound.rows))), side


def _number(text: str) -> exp.Expr:
    number = exp.Literal.number(text.removeprefix("-"))
    return exp.Paren(this=exp.Neg(this=number)) if text.startswith("-") else number


def quoted(name: str) -> exp.Identifier:
    """A name, which the dialect quotes whatever it is: the one way of a name into a text."""
    return exp.Identifier(this=name, quoted=True)
