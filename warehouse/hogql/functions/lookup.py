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
INSTEAD = {
    "formatdatetime": "toString(toDate(x)) is the day as 2026-01-31; toYear, toMonth, toHour and "
    "others are its parts.",
    "jsonextract": "A document has members: doc.key, or doc['a key'], is a text or NULL; toInt, "
    "toFloat and CAST(… AS Bool) of one read what is no text.",
}
"""By how names begin that mean what is not the same everywhere: what does it here."""
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


def instead(name: str) -> str | None:
    """What does here what a function that is not there would do."""
    found = (hint for beginning, hint in INSTEAD.items() if name.lower().startswith(beginning))
    return next(found, None)


def names() -> Iterator[str]:
    """Every name there is, as it is written in the table."""
    yield from dict.fromkeys(function.name for function in FUNCTIONS)
    yield from ALIASES
