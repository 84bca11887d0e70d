"""Checks that `manage.py check --database default` and every deploy run."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from warehouse import secrets
from warehouse.errors import CredentialsUnreadable, KeysUnavailable


@register(Tags.database)
def stored_credentials_can_be_read(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """One connection per key in use is decrypted: a wrong key shows before a user meets it."""
    from warehouse.models import WarehouseConnection

    if not databases:
        return []
    seen: set[str] = set()
    try:
        for connection in WarehouseConnection.all_teams.order_by("pk").iterator(chunk_size=100):
            key_id = secrets.Envelope.load(connection.encrypted_credentials).key_id
            if key_id not in seen:
                seen.add(key_id)
                connection.read_credentials()
    except (CredentialsUnreadable, KeysUnavailable) as exc:
        return [Error(exc.detail, hint=exc.advice, id="warehouse.E001")]
    except DatabaseError:
        return []  # not migrated yet; nothing is stored
    return []
