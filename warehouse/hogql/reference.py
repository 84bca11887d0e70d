"""The table of functions as Markdown: ``python -m warehouse.hogql.reference docs/hogql.md``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from warehouse.hogql.functions import aggregates, arrays, dates, scalar, text
from warehouse.hogql.functions.lookup import ALIASES
from warehouse.hogql.functions.table import DIALECTS, Function

PARTS = {
    "Operators, conditions and numbers": (*scalar.FUNCTIONS, scalar.MULTI_IF),
    "Text": text.FUNCTIONS,
    "Dates and times": dates.FUNCTIONS,
    "Aggregates and windows": aggregates.FUNCTIONS,
    "Arrays": arrays.FUNCTIONS,
}
OPERATORS = {
    "plus": "a + b", "minus": "a - b", "multiply": "a * b", "divide": "a / b", "modulo": "a % b",
    "equals": "a = b", "notEquals": "a <> b", "less": "a < b", "greater": "a > b",
    "lessOrEquals": "a <= b", "greaterOrEquals": "a >= b", "and": "a AND b", "or": "a OR b",
    "not": "NOT a", "isNull": "a IS NULL", "isNotNull": "a IS NOT NULL", "like": "a LIKE b",
    "notLike": "a NOT LIKE b", "ilike": "a ILIKE b", "notILike": "a NOT ILIKE b",
    "concat": "a || b", "arrayElement": "a[b]", "ifNull": "a ?? b", "if": "a ? b : c",
}  # fmt: skip
BEGIN, END = "<!-- functions -->", "<!-- end of functions -->"


def markdown() -> str:
    """What stands between BEGIN and END."""
    return "\n".join(_lines())


def entries() -> list[dict[str, Any]]:
    """The same for programs, by name."""
    every = (function for functions in PARTS.values() for function in functions)
    found = {(one.signature, one.means): one for one in every}
    return [_entry(found[key]) for key in sorted(found)]


def _entry(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "signature": function.signature,
        "written": OPERATORS.get(function.name, ""),
        "returns": _gives(function),
        "kind": function.use.value,
        "description": function.means,
        "dialects": [name for name in DIALECTS if name in function.forms],
    }


def _lines() -> Iterator[str]:
    for title, functions in PARTS.items():
        yield f"\n### {title}\n"
        yield "| function | written | gives | what | not in |"
        yield "|---|---|---|---|---|"
        yield from dict.fromkeys(_row(function) for function in functions)
    names = ", ".join(f"`{alias}` is `{name}`" for alias, name in ALIASES.items())
    yield f"\nOther names: {names}.\n"


def _row(function: Function) -> str:
    missing = ", ".join(name for name in DIALECTS if name not in function.forms)
    written = OPERATORS.get(function.name, "").replace("|", "\\|")
    written = f"`{written}`" if written else ""
    gives = _gives(function)
    return f"| `{function.signature}` | {written} | {gives} | {function.means} | {missing} |"


def _gives(function: Function) -> str:
    return function.returns if isinstance(function.returns, str) else "as given"


def replaced(page: str) -> str:
    """The page with the tables as they are now."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}{markdown()}{END}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(replaced(path.read_text()))
