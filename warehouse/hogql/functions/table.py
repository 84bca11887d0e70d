"""What a function is, and how one is looked up: an unknown name never passes.

A form is a template in the warehouse's own SQL, in which ``_0``, ``_1``… are the arguments, or a
callable that makes the node, or ``None`` where these arguments have no equal. A dialect without one
has no safe equal of the function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from warehouse.hogql.types import (
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    INT,
    STRING,
    TIMESTAMP,
    Kind,
    Type,
)

DIALECTS = ("bigquery", "clickhouse", "databricks", "postgres", "redshift", "snowflake")
Form = str | Callable[[Sequence[exp.Expr]], exp.Expr | None]


class Use(StrEnum):
    SCALAR = "scalar"
    AGGREGATE = "aggregate"
    WINDOW = "window"


@dataclass(frozen=True)
class Spec:
    """What an argument may be; ``becomes`` is the type it is cast to where it is another."""

    kinds: tuple[Kind, ...] | None
    becomes: Type | None = None
    constant_text: bool = False
    """Text that stands in the query, or a placeholder's, may be given too, and is cast."""
    whole_decimal: bool = False
    """A decimal without digits after the point may be given too, and is cast."""
    is_lambda: bool = False
    """The kinds are those of what a lambda gives."""


TIME_KINDS = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)
SPECS: Mapping[str, Spec] = {
    "any": Spec(None),
    "single": Spec(tuple(kind for kind in Kind if kind != Kind.ARRAY)),
    "bool": Spec((Kind.BOOL,)),
    "int": Spec((Kind.INT,)),
    "whole": Spec((Kind.INT,), INT, whole_decimal=True),
    "exact": Spec((Kind.INT, Kind.DECIMAL)),
    "decimal": Spec((Kind.DECIMAL,)),
    "float": Spec((Kind.FLOAT,)),
    "number": Spec((Kind.INT, Kind.DECIMAL, Kind.FLOAT)),
    "as_float": Spec((Kind.INT, Kind.DECIMAL, Kind.FLOAT), FLOAT),
    "text": Spec((Kind.STRING,)),
    "date": Spec((Kind.DATE,)),
    "clock": Spec((Kind.DATETIME, Kind.TIMESTAMP), DATETIME),
    "as_date": Spec(TIME_KINDS, DATE, constant_text=True),
    "as_datetime": Spec(TIME_KINDS, DATETIME, constant_text=True),
    "array": Spec((Kind.ARRAY,)),
    "lambda": Spec(None, is_lambda=True),
    "test": Spec((Kind.BOOL,), is_lambda=True),
    "interval": Spec((Kind.INTERVAL,)),
    "sortable": Spec((Kind.BOOL, Kind.INT, Kind.DECIMAL, Kind.FLOAT, Kind.STRING, *TIME_KINDS)),
}
RESULTS: Mapping[str, Type] = {
    "bool": BOOL,
    "int": INT,
    "decimal": DECIMAL,
    "float": FLOAT,
    "text": STRING,
    "date": DATE,
    "datetime": DATETIME,
    "timestamp": TIMESTAMP,
}


@dataclass(frozen=True)
class Function:
    """One meaning of a name.

    ``takes`` names a spec for each argument: ``?`` behind it makes it optional, ``*`` any number
    of them, ``=`` a constant. ``returns`` is a name in RESULTS, ``same`` (the first argument's
    type), ``common`` (what all arguments of ``shared`` places fit into), or computes it.
    """

    name: str
    takes: tuple[str, ...]
    returns: str | Callable[[Sequence[Type]], Type]
    forms: Mapping[str, Form]
    means: str
    use: Use = Use.SCALAR
    params: int = 0
    agree: tuple[int, ...] | None = None
    """Arguments that must have a common type: these places; all from the first, if empty."""
    least: int | None = None
    """Of arguments, where the last may come any number of times."""
    widens_in: tuple[str, ...] = ()
    """Dialects whose own result is wider than ``returns``, or without a sign, which goes together
    with no other whole number: there it is cast."""
    fits: Callable[[Sequence[Type]], bool] | None = None
    """Whether the types of the arguments go together."""

    @property
    def signature(self) -> str:
        shown = ", ".join(one.rstrip("=") for one in self.takes)
        return f"{self.name}{'(level)' if self.params else ''}({shown})"

    def fits_count(self, given: int) -> bool:
        needed = sum(not one.endswith(("?", "*")) for one in self.takes)
        most = None if any(one.endswith("*") for one in self.takes) else len(self.takes)
        return max(needed, self.least or 0) <= given and (most is None or given <= most)

    def spec(self, place: int) -> tuple[Spec, bool]:
        """What stands at a place; and whether it must be a constant."""
        name = self.takes[min(place, len(self.takes) - 1)]
        return SPECS[name.rstrip("?*=")], name.endswith("=")


def forms(every: Form | None = None, **by_dialect: Form | None) -> dict[str, Form]:
    """One form for all dialects, and those that differ; ``None`` where there is none."""
    found = {dialect: by_dialect.get(dialect, every) for dialect in DIALECTS}
    return {dialect: form for dialect, form in found.items() if form is not None}
