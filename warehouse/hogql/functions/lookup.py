"""Which function a call means: by its name, as it is written, and what it is given."""

from collections.abc import Iterator

from warehouse.hogql.functions import aggregates, arrays, dates, scalar, text
from warehouse.hogql.functions.table import Function, Use

FUNCTIONS: tuple[Function, ...] = (
    *scalar.FUNCTIONS,
    *text.FUNCTIONS,
    scalar.MULTI_IF,
    *dates.FUNCTIONS,
    *aggregates.FUNCTIONS,
    *arrays.FUNCTIONS,
)
ALIASES = {
    "COUNT": "count",
    "replace": "replaceAll",
    "power": "pow",
    "uniqExact": "uniq",
    "quantileExact": "quantile",
    "lowerUTF8": "lower",
    "upperUTF8": "upper",
    "lengthUTF8": "length",
    "toInt64": "toInt",
    "toFloat64": "toFloat",
    "substr": "substring",
}
CONDITIONAL = "If"


def _by_fold() -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = {}
    for function in FUNCTIONS:
        found.setdefault(function.name.lower(), []).append(function)
    for alias, name in ALIASES.items():
        found.setdefault(alias.lower(), found[name.lower()])
    return found


_KNOWN = _by_fold()


def named(name: str) -> list[Function]:
    """Every meaning of a name, in any case; none where there is no such function."""
    return _KNOWN.get(name.lower(), [])


def conditional(name: str) -> list[Function]:
    """Of ``sumIf``: the meanings of ``sum``."""
    if not name.lower().endswith(CONDITIONAL.lower()):
        return []
    found = named(name[: -len(CONDITIONAL)])
    return [function for function in found if function.use == Use.AGGREGATE]


def names() -> Iterator[str]:
    """Every name there is, as it is written in the table."""
    yield from dict.fromkeys(function.name for function in FUNCTIONS)
    yield from ALIASES
