"""What can be wrong with a query in HogQL, and where.

InvalidInput
└── HogQLError
    ├── HogQLUnreadable       it cannot be parsed
    ├── HogQLTooComplex       too long, too deep, or it keeps the parser busy
    ├── HogQLRefused          a construct that HogQL has and this does not
    ├── FunctionRefused       no such function, or none that is safe in this dialect
    ├── NameUnknown
    ├── NameAmbiguous
    ├── ViewCycle             a saved query reads itself, perhaps through others
    ├── TypesDiffer           the types of an expression do not go together
    └── PlaceholdersDiffer    a placeholder without a value, or a value without one
"""

from typing import ClassVar

from connectors.errors import InvalidInput
from warehouse.hogql.source import Place


class HogQLError(InvalidInput):
    """Base of the tree: says the line and column, counted from 1, and the offset from 0."""

    code: ClassVar[str] = "hogql_invalid"
    message = "The query cannot be used."
    hint = "Correct the query at the place named."

    def __init__(
        self, message: str | None = None, place: Place | None = None, *, hint: str | None = None
    ) -> None:
        self.place = place
        where = {"sql": str(place)} if place else {"sql": "The whole query."}
        super().__init__(message, hint=hint, fields=where)


class HogQLUnreadable(HogQLError):
    """The text is not HogQL."""

    code = "hogql_syntax"
    message = "The query cannot be parsed."


class HogQLTooComplex(HogQLError):
    """The text is too long, too deep, or keeps the parser busy for too long."""

    code = "hogql_too_complex"
    message = "The query is too complex."
    hint = "Split it up: nest less, put long lists of values in a table and join it."


class HogQLRefused(HogQLError):
    """HogQL has this construct; here it has no meaning that is the same everywhere."""

    code = "hogql_refused"


class FunctionRefused(HogQLError):
    """There is no such function, or no equal of it in this warehouse."""

    code = "hogql_function"
    hint = "catalog/functions/ and docs/hogql.md list them, and which warehouse has which."


class NameUnknown(HogQLError):
    """No table or column of that name can be seen from there."""

    code = "hogql_unknown_name"


class NameAmbiguous(HogQLError):
    """Several tables or columns have that name."""

    code = "hogql_ambiguous_name"
    hint = "Put the table's name or alias in front."


class ViewCycle(HogQLError):
    """A view reads itself, perhaps through others."""

    code = "view_cycle"
    hint = "Take one of these views out of another's query."


class TypesDiffer(HogQLError):
    """The types of an expression do not go together."""

    code = "hogql_type"


class PlaceholdersDiffer(HogQLError):
    """A placeholder without a value, a value without a placeholder, or a value of no known type."""

    code = "hogql_values"
    hint = "Give one value for each {name} of the query."
