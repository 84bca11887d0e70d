"""What bounds a query in the store, as ClickHouse's settings.

The embedded engine gets them as profiles of its users, a real server by ``grants.py``; either way
a query can lower them and not raise them.
"""

from collections.abc import Mapping

from connectors.errors import InvalidParameters
from connectors.types import Limits

WAITS: dict[str, int | str] = {
    "s3_retry_attempts": 2,
    "s3_connect_timeout_ms": 1000,
    "http_max_tries": 2,
}
"""No time limit of a query ends one that waits for S3 or HTTP; these do."""

READER: dict[str, int | str] = {
    # 2, because with 1 a query could not lower its own limits.
    "readonly": 2,
    "allow_introspection_functions": 0,
    "max_execution_time": 60,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 2**30,
    "max_rows_to_read": 10_000_000_000,
    "max_ast_depth": 1000,
    "join_algorithm": "direct,grace_hash,hash",
    "cancel_http_readonly_queries_on_client_close": 1,
    # Rows that another of the same key has replaced are not there, merged or not.
    "final": 1,
}
"""Of a query that names none itself."""

READER_MOST: dict[str, int] = {
    "max_execution_time": 3600,
    "max_result_rows": 10_000_000,
    "max_result_bytes": 4 * 2**30,
    "max_rows_to_read": 100_000_000_000,
    "allow_introspection_functions": 0,
}
"""The most that it can name."""

MAX_VALUES, MAX_VALUE_BYTES = 900, 128 * 1024
"""Beside one query. Source: ClickHouse, http_max_fields (1,000, settings among them) and
http_max_field_value_size."""


def refuse_too_many(values: Mapping[str, object]) -> None:
    """Raises InvalidParameters for values that one request has no room for."""
    sizes = [_size_bytes(value) for value in values.values()]
    if len(sizes) > MAX_VALUES or max(sizes, default=0) > MAX_VALUE_BYTES:
        raise InvalidParameters(
            f"The store takes {MAX_VALUES} values beside a query at most, of "
            f"{MAX_VALUE_BYTES:,} bytes each.",
            hint="Put long lists of values in a table and join it.",
        )


def _size_bytes(value: object) -> int:
    # Of a list, the text would have odd characters as escapes.
    parts = value if isinstance(value, list) else [value]
    return sum(len(str(part).encode()) for part in parts)


def of_memory(memory_mb: int) -> dict[str, int | str]:
    """What one query may take of the engine's memory, and from where on it uses the disk."""
    of_a_query = memory_mb * 2**20 // 2
    return {
        "max_memory_usage": of_a_query,
        "max_bytes_before_external_group_by": of_a_query // 2,
        "max_bytes_before_external_sort": of_a_query // 2,
        "max_bytes_in_join": of_a_query // 2,
    }


def settings_of(limits: Limits) -> dict[str, int | str]:
    """The bounds of one query, none of them above what a reader may name."""
    wanted: dict[str, int | None] = {
        "max_execution_time": round(limits.timeout_s),
        "max_result_rows": limits.max_rows,
        "max_result_bytes": limits.max_bytes_returned,
        "max_bytes_to_read": limits.max_bytes_scanned,
    }
    return {
        # 0 would be no bound at all.
        name: max(1, min(bound, READER_MOST.get(name, bound)))
        for name, bound in wanted.items()
        if bound is not None
    }
