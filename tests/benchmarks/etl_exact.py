"""What becomes of values that are hard to move, by comparing files with the server's own text."""

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

EXACT, CHANGED, REFUSED = "exact", "changed", "refused"
Texts = Callable[[str], list[str]]
"""The server's text of each value of a table, in the order of ids."""


def outcomes(
    errors: Mapping[str, str], tables: Mapping[str, str], folder: Path, texts: Texts
) -> dict[str, str]:
    """What has become of each type: exact, changed without a word, or refused.

    ``tables`` are those that were moved into folders of their own, by type; ``errors`` are by
    table.
    """
    found = {}
    for kind, table in tables.items():
        if table in errors:
            found[kind] = REFUSED
        else:
            found[kind] = EXACT if _survives(kind, folder / table, texts(table)) else CHANGED
    return found


def verdict(found: Mapping[str, str]) -> str:
    """In a word: exact is who changes nothing without a word."""
    changed = sum(outcome == CHANGED for outcome in found.values())
    refused = sum(outcome == REFUSED for outcome in found.values())
    if refused == len(found):
        return "not known"
    return ("no" if changed else "yes") + f": {changed} changed, {refused} refused"


def _survives(kind: str, folder: Path, texts: list[str]) -> bool:
    found = list(_values(folder))
    return len(found) == len(texts) and all(
        same(kind, value, text) for value, text in zip(found, texts, strict=True)
    )


def _values(folder: Path) -> Iterator[Any]:
    """Those of column v, in the order of ids."""
    tables = (pq.read_table(path, partitioning=None) for path in sorted(folder.rglob("*.parquet")))
    moved = [table.select(["id", "v"]) for table in tables if {"id", "v"} <= {*table.column_names}]
    if moved:
        yield from map(_plain, pa.concat_tables(moved).sort_by("id").column("v"))


def _plain(scalar: pa.Scalar) -> Any:
    """Python's value; the text of a date or a time, which Python may not have."""
    if pa.types.is_temporal(scalar.type) and not pa.types.is_interval(scalar.type):
        return str(scalar.cast(pa.string()))
    return scalar.as_py()


def same(kind: str, value: Any, text: str) -> bool:
    """The value is the one that the server writes like that."""
    if value is None:
        return False
    if isinstance(value, pa.MonthDayNano):
        return _interval(value) == text
    if isinstance(value, bytes):
        return value == UUID(text).bytes if kind == "uuid" else f"\\x{value.hex()}" == text
    if isinstance(value, list):
        return _array(value) == text
    if kind == "float8":
        return repr(float(value)) == repr(float(text))
    if kind.startswith(("numeric", "money")):
        return _number(str(value)) == _number(text)
    if kind == "jsonb" and isinstance(value, str):
        return bool(json.loads(value) == json.loads(text))
    return str(value).removesuffix("Z") == text.removesuffix("+00")


def _number(text: str) -> Decimal | str:
    """Without the sign of a currency; NaN is like NaN."""
    try:
        number = Decimal(text.replace("$", "").replace(",", ""))
    except InvalidOperation:
        return text
    return number if number.is_finite() else str(number)


def _array(value: list[Any]) -> str:
    """As the server writes it."""
    return "{" + ",".join(map(_element, value)) + "}"


def _element(value: Any) -> str:
    if isinstance(value, list):
        return _array(value)
    if value is None:
        return "NULL"
    quoted = isinstance(value, str) and (value.upper() == "NULL" or not value.isalnum())
    return f'"{value}"' if quoted else str(value)


def _interval(value: Any) -> str:
    seconds, micros = divmod(abs(value.nanoseconds) // 1000, 10**6)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"
    sign = "-" if value.nanoseconds < 0 else ""
    return f"{value.months} mon {value.days} days {sign}{clock}"
