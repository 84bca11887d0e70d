"""Which two queries have the same answer."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors import registry
from connectors.sql_text import condensed
from connectors.types import Limits
from warehouse.models import WarehouseConnection
from warehouse.statements import Language, Statement

FORM = 1
"""Of what is kept, and of the key; another one finds nothing that an older release has kept."""
SCALARS = frozenset({
    type(None), bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta, uuid.UUID,
})  # fmt: skip


def key_of(connection: WarehouseConnection, statement: Statement, limits: Limits) -> str | None:
    """Equal for equal answers only; ``None`` for parameters of which that cannot be told.

    Of the limits those count that change an answer, not those that end a query.
    """
    try:
        asked = _asked(statement)
    except TypeError:
        return None
    parts = [
        FORM,
        str(connection.team_id),
        str(connection.pk),
        connection.provider,
        connection.credential_version,
        statement.language,
        _text(connection, statement),
        asked,
        limits.max_rows,
        limits.max_bytes_returned,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def inputs_of(statement: Statement, max_rows: int | None) -> str:
    """All that was asked beside the SQL, as JSON, or nothing where JSON would change it."""
    inputs = {
        "params": statement.params,
        "language": statement.language,
        "values": statement.values,
        "max_rows": max_rows,
        "tables": sorted(statement.tables),
    }
    try:
        text = json.dumps(inputs)
    except TypeError:
        return ""
    again, _ = recalled(statement.sql, text)
    return text if _asked(again) == _asked(statement) else ""


def recalled(sql: str, inputs: str) -> tuple[Statement, int | None]:
    """The statement, and the caller's limit of rows, that ``inputs_of`` was given."""
    found = json.loads(inputs)
    language = Language(found["language"])
    # An answer that an older release has kept says nothing of them.
    tables = frozenset((schema, name) for schema, name in found.get("tables", ()))
    return Statement(sql, found["params"], language, found["values"], tables), found["max_rows"]


def _text(connection: WarehouseConnection, statement: Statement) -> str:
    if statement.language == Language.HOGQL:
        return statement.sql.strip()
    return condensed(statement.sql, registry.provider(connection.provider).capabilities.dialect)


def _asked(statement: Statement) -> list[Any]:
    params = statement.params
    # A tuple of parameters is a list of them; one among the parameters is a value of its own.
    listed = params if isinstance(params, Mapping) else list(params)
    return [_told(listed), _told(statement.values)]


def _told(value: Any) -> Any:
    """A value with the kinds of all its parts: 1, 1.0, "1" and true are four."""
    if isinstance(value, Mapping):
        return ["mapping", sorted([repr(name), _told(part)] for name, part in value.items())]
    if type(value) in (list, tuple):
        return [type(value).__name__, [_told(part) for part in value]]
    if type(value) not in SCALARS:
        raise TypeError(type(value).__name__)
    return [type(value).__name__, repr(value)]
