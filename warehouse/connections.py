"""What can be done to a team's connections: the rules, whoever asks (API, admin, command)."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, models, transaction

from connectors import registry
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import InvalidCredentials
from connectors.network import NetworkPolicy
from connectors.types import JobContext
from warehouse import conf, connection_config
from warehouse.catalogs import catalogs
from warehouse.connection_config import ConnectionConfig
from warehouse.errors import ConnectionInUse, ConnectionPaused, CredentialsUnreadable, NameTaken
from warehouse.hybrid import cache
from warehouse.models import ConnectionMode, TestStatus, WarehouseConnection
from warehouse.pool import Lease, pool
from warehouse.views import broken

NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL, which Postgres cannot keep, and halves of surrogate pairs, which UTF-8 cannot spell."""


@dataclass(frozen=True)
class Draft:
    """A connection as somebody wants it; credentials are complete and checked."""

    name: str
    provider: str
    mode: ConnectionMode
    credentials: Credentials
    config: dict[str, Any]

    @classmethod
    def of(
        cls,
        *,
        name: str,
        provider: str,
        credentials: Mapping[str, Any],
        mode: str = ConnectionMode.DIRECT,
        config: Mapping[str, Any] | None = None,
    ) -> "Draft":
        """Raises UnknownProvider, InvalidCredentials or InvalidInput."""
        form = checked_credentials(provider, credentials)
        checked_config = connection_config.checked(provider, config or {})
        return cls(name, provider, ConnectionMode(mode), form, checked_config)


def checked_credentials(provider: str, values: Mapping[str, Any]) -> Credentials:
    """The provider's form filled; opens nothing.

    Raises UnknownProvider, or InvalidCredentials naming fields as ``credentials.<field>``.
    """
    model = registry.provider(provider).credentials_model
    odd = [name for name, v in values.items() if isinstance(v, str) and NOT_TEXT.search(v)]
    if odd:
        faults = dict.fromkeys(odd, "This holds a character that is not text.")
        raise InvalidCredentials(fields=_inside("credentials", faults))
    try:
        return model.parse(values)
    except InvalidCredentials as exc:
        raise InvalidCredentials(fields=_inside("credentials", exc.fields)) from None


def _inside(part: str, faults: Mapping[str, str]) -> dict[str, str]:
    return {name if name == part else f"{part}.{name}": text for name, text in faults.items()}


def network_policy() -> NetworkPolicy:
    """Public addresses and the operator's allow-list; raises ImproperlyConfigured."""
    try:
        return NetworkPolicy.allowing(conf.allowed_private_hosts())
    except ValueError as exc:
        raise ImproperlyConfigured(f"WAREHOUSE_ALLOWED_PRIVATE_HOSTS: {exc}.") from exc


def connector_for(
    provider: str,
    credentials: Mapping[str, Any],
    context: JobContext,
    config: Mapping[str, Any] | None = None,
) -> Connector:
    """A connector under the operator's rules; nothing is opened yet."""
    return registry.provider(provider)(
        credentials,
        network=network_policy(),
        context=context,
        own_identity=frozenset(conf.own_identity()),
        prices=ConnectionConfig.parse(config or {}).prices,
    )


def create(team: Any, user: Any, draft: Draft) -> WarehouseConnection:
    """Save a new connection with encrypted credentials; raises NameTaken."""
    connection = WarehouseConnection(
        team=team,
        created_by=user,
        name=draft.name,
        provider=draft.provider,
        mode=draft.mode,
        config=draft.config,
    )
    _put_credentials(connection, draft.credentials)
    return _saved(connection)


def update(connection: WarehouseConnection, changes: Mapping[str, Any]) -> WarehouseConnection:
    """Apply ``changes``: any of name, mode, is_active, is_default, config and credentials.

    Credential fields left out keep their stored value, ``None`` takes one away; new credentials
    make the last test's answer void. Raises NameTaken, InvalidCredentials, InvalidInput.
    """
    with transaction.atomic():
        locked = WarehouseConnection.objects.for_team(connection.team_id).select_for_update()
        if changes.get("is_default"):
            # All of the team's, in one order: of two that are to be the default, one comes first.
            list(locked.order_by("pk").values_list("pk"))
        connection = locked.get(pk=connection.pk)
        for name in changes.keys() & {"name", "mode", "is_active", "is_default"}:
            setattr(connection, name, changes[name])
        if changes.get("is_default"):
            locked.filter(is_default=True).exclude(pk=connection.pk).update(is_default=False)
        if "config" in changes:
            connection.config = connection_config.checked(connection.provider, changes["config"])
        if new := changes.get("credentials"):
            merged = merged_credentials(connection, new)
            _put_credentials(connection, checked_credentials(connection.provider, merged))
        if changes.keys() & {"mode", "config", "credentials"}:
            cache.invalidate(connection.team_id, connection)
        transaction.on_commit(partial(_forget, connection.pk))
        return _saved(connection)


def merged_credentials(connection: WarehouseConnection, new: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values under the new ones; ``None`` takes a field away.

    Raises InvalidCredentials when a stored secret would go to another host than the one it was
    entered for.
    """
    try:
        stored = connection.read_credentials()
    except CredentialsUnreadable:
        # What nobody can read any more is replaced by entering all of it again.
        stored = {}
    form = registry.provider(connection.provider).credentials_model
    moved = any(new[name] != stored.get(name) for name in form.receiver_fields & new.keys())
    kept = sorted((form.secret_fields() & stored.keys()) - new.keys())
    if moved and kept:
        faults = dict.fromkeys(kept, "Enter it again: it would go to another destination.")
        raise InvalidCredentials(fields=_inside("credentials", faults))
    merged = {**stored, **new}
    return {name: value for name, value in merged.items() if value is not None}


def _put_credentials(connection: WarehouseConnection, form: Credentials) -> None:
    connection.target = form.target()[:500]
    connection.set_credentials(form.reveal())
    connection.last_tested_at = None
    connection.last_test_status = TestStatus.NEVER_TESTED
    connection.last_test_error = ""


def _saved(connection: WarehouseConnection) -> WarehouseConnection:
    try:
        with transaction.atomic():
            connection.save()
    except IntegrityError as exc:
        if "connection_name_in_team" not in str(exc):
            raise
        raise NameTaken(fields={"name": "Taken."}) from None
    return connection


def delete(connection: WarehouseConnection) -> None:
    """Remove it and its credentials; views that read it stay, and are broken.

    Raises ConnectionInUse while a pipeline needs it.
    """
    pk = connection.pk
    try:
        with transaction.atomic():
            cache.invalidate(connection.team_id, connection)
            broken.lose(connection)
            connection.delete()
    except (models.ProtectedError, models.RestrictedError):
        raise ConnectionInUse() from None
    transaction.on_commit(partial(_forget, pk))


def _forget(pk: uuid.UUID) -> None:
    """Sessions and what was read over them: a connection is as it is now."""
    pool.drop(pk)
    catalogs.drop(pk)


def connector_of(connection: WarehouseConnection, *, run: str = "") -> Connector:
    """A connector with the stored credentials, paused or not; raises CredentialsUnreadable."""
    context = JobContext(team=str(connection.team_id), run=run)
    values = connection.read_credentials()
    return connector_for(connection.provider, values, context, connection.config)


@contextmanager
def opened(connection: WarehouseConnection, *, run: str = "") -> Iterator[Connector]:
    """A connector of its own for a saved connection, closed at the end.

    Raises ConnectionPaused and CredentialsUnreadable; every verb raises ConnectorError.
    """
    if not connection.is_active:
        raise ConnectionPaused()
    with connector_of(connection, run=run) as connector:
        yield connector


@contextmanager
def leased(connection: WarehouseConnection) -> Iterator[Lease]:
    """A connector out of the pool for one use; whatever of the connection counts is as it is now.

    Raises ConnectionPaused, CredentialsUnreadable and WarehouseBusy; every verb ConnectorError.
    """
    if not connection.is_active:
        pool.drop(connection.pk)
        raise ConnectionPaused()
    version = (
        str(connection.team_id),
        connection.provider,
        connection.credential_version,
        json.dumps(connection.config.get("prices"), sort_keys=True),
        network_policy(),
        tuple(conf.own_identity()),
    )
    with pool.lease(connection.pk, version, partial(connector_of, connection)) as lease:
        yield lease
