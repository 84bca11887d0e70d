"""What systems that are compared agree on: which columns have a text that all of them write."""

import pyarrow as pa

JSON_TYPES = (b"json", b"jsonb")


def has_text(field: pa.Field) -> bool:
    """The column can be digested: each system writes doubles and JSON in a way of its own."""
    return not (pa.types.is_floating(field.type) or is_json(field))


def is_json(field: pa.Field) -> bool:
    """The column is JSON, carried as text."""
    return (field.metadata or {}).get(b"native") in JSON_TYPES
