"""Values for a query's placeholders: sent beside the text, never in it."""

import datetime
from collections.abc import Mapping
from decimal import Decimal

from warehouse.hogql import filters, nodes, tree, types
from warehouse.hogql.errors import PlaceholdersDiffer
from warehouse.hogql.filters import Filters
from warehouse.hogql.source import Place
from warehouse.hogql.types import Kind, Type

MAX_LISTED = 10_000
OWN = "hogql_filter_{}"
"""Of values that no placeholder of the text asks for."""


class Values:
    """The values of one query, and which of them it has asked for."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = dict(given)
        self._used: set[str] = set()

    def param(self, node: nodes.Placeholder, place: Place) -> tree.Expr:
        """The parameter for a placeholder; raises PlaceholdersDiffer."""
        return _param(node.at, node.name, self._value(node.name, place), place)

    def listed(self, node: nodes.Placeholder, place: Place) -> tuple[tree.Expr, ...]:
        """Of ``x IN {name}``: a parameter for each value of a list, or the one that it is."""
        value = self._value(node.name, place)
        if not isinstance(value, list | tuple):
            return (_param(node.at, node.name, value, place),)
        if not 0 < len(value) <= MAX_LISTED:
            raise PlaceholdersDiffer(
                f"{{{node.name}}} needs from 1 to {MAX_LISTED:,} values.", place
            )
        return tuple(
            _param(node.at, f"{node.name}__{number}", one, place)
            for number, one in enumerate(value, start=1)
        )

    def filters(self, place: Place) -> Filters:
        """What ``{filters}`` stands for: nothing, where none were given."""
        if filters.NAME not in self._given:
            return Filters()
        try:
            return Filters.of_json(self._value(filters.NAME, place))
        except ValueError:
            raise PlaceholdersDiffer(
                f"{{{filters.NAME}}} is no value.", place, hint="Send them as filters."
            ) from None

    def bound(self, at: int, value: object) -> nodes.Placeholder:
        """A placeholder for a value that is not the caller's."""
        name = OWN.format(len(self._given))
        self._given[name] = value
        return nodes.Placeholder(at, name)

    def refuse_unused(self) -> None:
        """Raises PlaceholdersDiffer for a value that no placeholder asks for."""
        if unused := sorted(self._given.keys() - self._used):
            raise PlaceholdersDiffer(f"The query has no placeholder {{{unused[0]}}}.")

    def _value(self, name: str, place: Place) -> object:
        if name not in self._given:
            raise PlaceholdersDiffer(f"There is no value for {{{name}}}.", place)
        self._used.add(name)
        return self._given[name]


def _param(at: int, name: str, value: object, place: Place) -> tree.Expr:
    if value is None:
        return tree.Literal(at, types.NULL, None)
    if isinstance(value, str) and ("\x00" in value or not _is_utf8(value)):
        raise PlaceholdersDiffer(f"The value of {{{name}}} is no text.", place)
    return tree.Param(at, _type_of(name, value, place), name, value)


def _type_of(name: str, value: object, place: Place) -> Type:
    match value:
        case bool():
            return types.BOOL
        case int() if -(2**63) <= value < 2**63:
            return types.INT
        case float() if value - value == 0:
            return types.FLOAT
        case Decimal() if value.is_finite() and types.digits(value) <= types.MOST_DIGITS:
            return Type(Kind.DECIMAL, scale=max(0, -int(value.as_tuple().exponent)))
        case str():
            return types.STRING
        case datetime.datetime():
            return types.DATETIME if value.tzinfo is None else types.TIMESTAMP
        case datetime.date():
            return types.DATE
    raise PlaceholdersDiffer(
        f"The value of {{{name}}} is no text, number of {types.MOST_DIGITS} digits at most, "
        "truth value, date or NULL.",
        place,
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
