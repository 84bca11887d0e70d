"""``{filters}``: what a dashboard's filters ask of events, as a condition of the query."""

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import reduce
from typing import Any

from warehouse.hogql import nodes
from warehouse.hogql.days import day_or_moment

NAME = "filters"
"""The placeholder; no value is called so."""
PATTERN_SIGNS = re.compile(r"([%_\\])")
Value = str | float | bool
Bind = Callable[[object], nodes.Placeholder]
"""Gives the placeholder of a value that is sent beside the text."""


class Operator(StrEnum):
    EXACT = "exact"
    IS_NOT = "is_not"
    ICONTAINS = "icontains"
    NOT_ICONTAINS = "not_icontains"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IS_SET = "is_set"
    IS_NOT_SET = "is_not_set"


class Owner(StrEnum):
    """Whose property it is."""

    EVENT = "event"
    PERSON = "person"


COMPARED = {
    Operator.GT: "greater",
    Operator.GTE: "greaterOrEquals",
    Operator.LT: "less",
    Operator.LTE: "lessOrEquals",
}
OPPOSITE = {Operator.IS_NOT, Operator.NOT_ICONTAINS, Operator.IS_NOT_SET}
"""Also true of an event that has no such property."""


@dataclass(frozen=True)
class Property:
    """``values`` are one for most operators, any number for (NOT) EXACT, none for (NOT) SET."""

    owner: Owner
    key: str
    operator: Operator
    values: Sequence[Value] = ()


@dataclass(frozen=True)
class Filters:
    """All of it must be true. A day as ``date_to`` is meant whole."""

    date_from: datetime.datetime | None = None
    date_to: datetime.datetime | datetime.date | None = None
    properties: Sequence[Property] = ()

    def as_json(self) -> dict[str, Any]:
        """In the form that waits among the values of a query."""
        return {
            "date_from": self.date_from.isoformat() if self.date_from else None,
            "date_to": self.date_to.isoformat() if self.date_to else None,
            "properties": [asdict(one) for one in self.properties],
        }

    @classmethod
    def of_json(cls, given: Any) -> "Filters":
        """Raises ValueError for anything that ``as_json`` does not give."""
        try:
            properties = [
                Property(Owner(one["owner"]), one["key"], Operator(one["operator"]), one["values"])
                for one in given["properties"]
            ]
            date_from = given["date_from"] and datetime.datetime.fromisoformat(given["date_from"])
            return cls(date_from, given["date_to"] and day_or_moment(given["date_to"]), properties)
        except (KeyError, TypeError) as exc:
            raise ValueError(given) from exc


def condition(filters: Filters, events: str, at: int, bind: Bind) -> nodes.Expr:
    """The condition on the events that the query calls so."""
    made = _Conditions(events, at, bind)
    return made.all_of([*made.dates(filters), *map(made.property, filters.properties)])


@dataclass(frozen=True)
class _Conditions:
    events: str
    at: int
    bind: Bind

    def all_of(self, found: list[nodes.Expr]) -> nodes.Expr:
        true: nodes.Expr = nodes.Constant(self.at, value=True)
        return reduce(lambda a, b: self._call("and", a, b), found) if found else true

    def dates(self, filters: Filters) -> list[nodes.Expr]:
        found, moment = list[nodes.Expr](), nodes.Name(self.at, (self.events, "timestamp"))
        if filters.date_from is not None:
            found.append(self._call("greaterOrEquals", moment, self.bind(filters.date_from)))
        match filters.date_to:
            case datetime.datetime() as last:
                found.append(self._call("lessOrEquals", moment, self.bind(last)))
            case datetime.date() as day:
                found.append(self._call("less", moment, self.bind(_after(day))))
        return found

    def property(self, one: Property) -> nodes.Expr:
        owner = (self.events, "person") if one.owner == Owner.PERSON else (self.events,)
        member = nodes.Name(self.at, (*owner, "properties", one.key))
        found = self._true_of(member, one)
        if one.operator not in OPPOSITE:
            return found
        false = nodes.Constant(self.at, value=False)
        return self._call("not", self._call("coalesce", found, false))

    def _true_of(self, member: nodes.Expr, one: Property) -> nodes.Expr:
        match one.operator:
            case Operator.IS_SET | Operator.IS_NOT_SET:
                return self._call("isNotNull", member)
            case Operator.ICONTAINS | Operator.NOT_ICONTAINS:
                pattern = PATTERN_SIGNS.sub(r"\\\1", str(one.values[0]))
                return self._call("ilike", member, self.bind(f"%{pattern}%"))
            case Operator.EXACT | Operator.IS_NOT:
                return self._is_one_of(member, one.values)
        number = self._call("toFloat", member)
        return self._call(COMPARED[one.operator], number, self.bind(one.values[0]))

    def _is_one_of(self, member: nodes.Expr, values: Sequence[Value]) -> nodes.Expr:
        """Each compared as what it is: 1 is 1.0, and no text."""
        ways = (
            (str, member),
            (float, self._call("toFloat", member)),
            (bool, nodes.Cast(self.at, member, "Bool")),
        )
        found = [
            nodes.In(self.at, read, (self.bind(ours),), negated=False)
            for kind, read in ways
            if (ours := [value for value in values if type(value) is kind])
        ]
        return reduce(lambda a, b: self._call("or", a, b), list[nodes.Expr](found))

    def _call(self, name: str, *args: nodes.Expr) -> nodes.Call:
        return nodes.Call(self.at, name, args)


def _after(day: datetime.date) -> datetime.datetime:
    """The first moment of the next day."""
    moment = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return moment + datetime.timedelta(days=1)
