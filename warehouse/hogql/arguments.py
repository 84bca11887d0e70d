"""Whether arguments fit a function, and what they are cast to so that they do."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from warehouse.hogql import nodes, tree, types
from warehouse.hogql.days import is_day
from warehouse.hogql.errors import TypesDiffer
from warehouse.hogql.functions.table import RESULTS, Function, Spec
from warehouse.hogql.source import Place
from warehouse.hogql.types import Kind, Type

CHOOSING = ("if", "multiIf", "coalesce", "ifNull", "greatest", "least")
"""Functions that answer one of their arguments as it is."""


@dataclass(frozen=True)
class Arguments:
    """Of the calls of one text."""

    text: str

    def _place(self, at: int) -> Place:
        return Place.of(self.text, at)

    def fitted(
        self, node: nodes.Call, meanings: Sequence[Function], args: tuple[tree.Expr, ...]
    ) -> tree.Call:
        """The call of the first meaning that takes them; raises TypesDiffer."""
        for function in meanings:
            if (call := self._fit(node.at, function, args)) is not None:
                return call
        given = ", ".join(str(arg.type) for arg in args)
        takes = " or ".join(function.signature for function in meanings)
        hint = f"It is {takes}."
        if any(function.agree is not None for function in meanings):
            hint += " They must be of one kind: convert one, as with toString or toDate."
        raise TypesDiffer(f"{node.name} does not take ({given}).", self._place(node.at), hint=hint)

    def _fit(self, at: int, function: Function, args: tuple[tree.Expr, ...]) -> tree.Call | None:
        if not function.fits_count(len(args)):
            return None
        fitted = []
        for place, arg in enumerate(args):
            spec, constant = function.spec(place)
            one = self._suited(arg, spec)
            if one is None or (constant and not _is_fixed(one)):
                return None
            fitted.append(one)
        if function.fits is not None and not function.fits([arg.type for arg in fitted]):
            return None
        if function.name == "multiIf" and not self._is_multi_if(fitted):
            return None
        agreed = self._agreed(function, fitted)
        if agreed is None:
            return None
        return tree.Call(at, _result(function, agreed), function, tuple(agreed))

    def _agreed(self, function: Function, args: list[tree.Expr]) -> list[tree.Expr] | None:
        """The arguments, with one type where they must agree; ``None`` where they do not."""
        places, made = _agreeing(function, len(args)), [*args]
        united = self.united([args[place] for place in places]) if places else []
        if united is None:
            return None
        for place, one in zip(places, united, strict=True):
            made[place] = one
        result = _result(function, made)
        if function.name in CHOOSING and result.kind == Kind.DECIMAL and result.scale is not None:
            for place in places:
                # Beside a decimal, a whole number may take its fraction away.
                if made[place].type.kind == Kind.INT:
                    made[place] = self.as_type(made[place], result)
        return made

    def _is_multi_if(self, args: list[tree.Expr]) -> bool:
        return len(args) % 2 == 1 and all(
            arg.type.kind in (Kind.BOOL, Kind.NULL) for arg in args[:-1:2]
        )

    def _suited(self, arg: tree.Expr, spec: Spec) -> tree.Expr | None:
        """The argument as the spec wants it; ``None`` where it is something else."""
        kind = arg.type.kind
        if isinstance(arg, tree.Tuple) or isinstance(arg, tree.Lambda) != spec.is_lambda:
            return None
        if spec.kinds is None:
            return arg
        if kind == Kind.NULL or kind in spec.kinds:
            fits = spec.becomes is None or kind == spec.becomes.kind
            return arg if fits or spec.becomes is None else self.as_type(arg, spec.becomes)
        is_cast = (kind == Kind.STRING and spec.constant_text and _is_constant(arg)) or (
            kind == Kind.DECIMAL and spec.whole_decimal and arg.type.scale == 0
        )
        return self.as_type(arg, spec.becomes) if is_cast and spec.becomes else None

    def as_type(self, arg: tree.Expr, wanted: Type) -> tree.Expr:
        """The argument, cast; raises TypesDiffer for text that is no date."""
        if arg.type.kind == Kind.STRING and wanted.is_time and _is_constant(arg):
            self._check_time(arg, wanted)
        return tree.Cast(arg.at, wanted, arg)

    def _check_time(self, arg: tree.Expr, wanted: Type) -> None:
        """Text that stands for a date is one, in ISO 8601; no warehouse is left to guess."""
        text = str(arg.value if isinstance(arg, tree.Literal | tree.Param) else "")
        try:
            if wanted.kind == Kind.DATE:
                datetime.date.fromisoformat(text)
                fits = is_day(text)
            else:
                fits = datetime.datetime.fromisoformat(text).tzinfo is None
        except ValueError:
            fits = False
        if not fits:
            raise TypesDiffer(
                f"{text!r} is no {wanted} as 2026-01-31"
                + (" or 2026-01-31 12:00:00." if wanted.kind == Kind.DATETIME else "."),
                self._place(arg.at),
            )

    def united(self, args: list[tree.Expr]) -> list[tree.Expr] | None:
        """The arguments in their common type; ``None`` where they have none."""
        times = [arg.type for arg in args if arg.type.is_time]
        others = [arg for arg in args if not arg.type.is_time]
        if times and all(arg.type.kind == Kind.NULL or _is_text(arg) for arg in others):
            wanted = types.common(*times)
            if wanted is None:
                # A clock beside an instant: both in UTC.
                wanted = types.DATETIME
            if wanted.kind == Kind.DATE and not all(_looks_like_date(arg) for arg in others):
                wanted = types.DATETIME
            if wanted.kind == Kind.TIMESTAMP and others:
                wanted = types.DATETIME
            return [arg if arg.type == wanted else self.as_type(arg, wanted) for arg in args]
        wanted = types.common(*(arg.type for arg in args))
        if wanted is None and all(
            arg.type.kind in (Kind.OTHER, Kind.NULL) or _is_text(arg) for arg in args
        ):
            # A uuid, say, beside text: its own warehouse reads the text as one.
            return args
        if wanted is None:
            return None
        if wanted.kind == Kind.FLOAT:
            return [
                arg if arg.type.kind == Kind.FLOAT else self.as_type(arg, wanted) for arg in args
            ]
        return args


def _is_constant(arg: tree.Expr) -> bool:
    return isinstance(arg, tree.Literal | tree.Param)


def _is_text(arg: tree.Expr) -> bool:
    return arg.type.kind == Kind.STRING and _is_constant(arg)


def _looks_like_date(arg: tree.Expr) -> bool:
    if not isinstance(arg, tree.Literal | tree.Param) or arg.value is None:
        return True
    return is_day(str(arg.value))


def _is_fixed(arg: tree.Expr) -> bool:
    """A whole number from 0 on, or one sign, that stands in the query."""
    value = arg.value if isinstance(arg, tree.Literal) else None
    if isinstance(value, str):
        return len(value) == 1 and value.isascii()
    return type(value) is int and value >= 0


def _agreeing(function: Function, given: int) -> list[int]:
    if function.name == "multiIf":
        return [*range(1, given - 1, 2), given - 1]
    if function.agree is None:
        return []
    return list(function.agree) or list(range(given))


def _result(function: Function, args: Sequence[tree.Expr]) -> Type:
    kinds = [arg.type for arg in args]
    if function.name == "multiIf":
        return (
            types.common(*(kinds[place] for place in _agreeing(function, len(args)))) or kinds[-1]
        )
    if callable(function.returns):
        return function.returns(kinds)
    return kinds[0] if function.returns == "same" else RESULTS[function.returns]
