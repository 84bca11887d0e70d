"""Pages of a connection's tables: what can be asked for, and how they are shown."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from api.access import StrictSerializer
from connectors.types import Column, Table
from etl.table_modes import Modes
from warehouse.models import ConnectionMode

PAGE_TABLES = 200
MOST_TABLES = 1_000
MOST_CURSOR_CHARS = 4_000


class CursorField(serializers.CharField):
    """The schema and name of the last table of a page, as ``next`` spells them."""

    def to_internal_value(self, data: Any) -> tuple[str, str]:  # type: ignore[override]
        try:
            schema, name = json.loads(base64.urlsafe_b64decode(super().to_internal_value(data)))
            # Compared as bytes in the warehouse, which knows neither NUL nor half characters.
            f"{schema}{name}".encode()
        except (ValueError, TypeError, binascii.Error):
            raise serializers.ValidationError("Use the value of next as it came.") from None
        if not (isinstance(schema, str) and isinstance(name, str)) or "\0" in schema + name:
            raise serializers.ValidationError("Use the value of next as it came.")
        return schema, name


class WantedTablesSerializer(StrictSerializer):
    schema = serializers.CharField(
        required=False, max_length=255, help_text="Only this schema or dataset."
    )
    search = serializers.CharField(
        required=False, max_length=255, help_text="A part of the table's name, in any case."
    )
    limit = serializers.IntegerField(
        default=PAGE_TABLES, min_value=1, max_value=MOST_TABLES, help_text="Tables of a page."
    )
    after = CursorField(
        required=False, max_length=MOST_CURSOR_CHARS, help_text="The next of the page before."
    )


class ColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    native_type = serializers.CharField()
    arrow_type = serializers.CharField(
        allow_null=True, help_text="As a query's result has it; null where only that can tell."
    )
    nullable = serializers.BooleanField(allow_null=True)
    position = serializers.IntegerField()
    comment = serializers.CharField(allow_null=True)


class TableSerializer(serializers.Serializer[Any]):
    catalog = serializers.CharField(allow_null=True)
    schema = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    comment = serializers.CharField(allow_null=True)
    primary_key = serializers.ListField(child=serializers.CharField())
    row_count = serializers.IntegerField(allow_null=True)
    size_bytes = serializers.IntegerField(allow_null=True)
    mode = serializers.ChoiceField(ConnectionMode.choices)
    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Of its copy in the store; null: queries ask the warehouse."
    )
    columns = ColumnSerializer(many=True)


class TablesSerializer(serializers.Serializer[Any]):
    tables = TableSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="Send it as after for the next page; null on the last one."
    )


def page(tables: Sequence[Table], modes: Modes, *, more: bool) -> dict[str, Any]:
    """The page as it is sent, with its cursor while more follow."""
    last = [tables[-1].schema, tables[-1].name] if more else None
    cursor = None if last is None else base64.urlsafe_b64encode(json.dumps(last).encode()).decode()
    return {"tables": [_shown(table, modes) for table in tables], "next": cursor}


def _shown(table: Table, modes: Modes) -> dict[str, Any]:
    # Not asdict(): it copies every value, and an Arrow type is none that JSON knows.
    columns = [_shown_column(column) for column in table.columns]
    name = (table.schema, table.name)
    return {**vars(table), "mode": modes.of(name), "as_of": modes.as_of(name), "columns": columns}


def _shown_column(column: Column) -> dict[str, Any]:
    kind = column.arrow_type
    return {**vars(column), "arrow_type": None if kind is None else str(kind)}
