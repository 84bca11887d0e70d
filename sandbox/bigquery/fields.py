"""BigQuery's names for the types of columns, in SQL and in REST."""

from typing import Any

_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def data_type(field: Any) -> str:
    """Return a catalog field's type as SQL writes it, such as ARRAY<STRUCT<a INT64>>."""
    inner = _inner_type(field)
    return f"ARRAY<{inner}>" if field.mode == "REPEATED" else inner


def _inner_type(field: Any) -> str:
    name = _SQL_NAMES.get(field.type.upper(), field.type.upper())
    if name == "STRUCT":
        fields = ", ".join(f"{child.name} {data_type(child)}" for child in field.fields)
        return f"STRUCT<{fields}>"
    if name == "RANGE" and field.range_element_type is not None:
        return f"RANGE<{_inner_type(field.range_element_type)}>"
    return str(name)


def field_paths(field: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return (path, field) for a column and for everything inside it."""
    path = f"{prefix}{field.name}"
    found = [(path, field)]
    for child in field.fields:
        found += field_paths(child, f"{path}.")
    return found
