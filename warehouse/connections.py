"""What can be done to a team's connections: the rules, whoever asks (API, admin, command)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors import registry
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import InvalidInput
from connectors.network import NetworkPolicy
from connectors.types import CheckReport, JobContext
from warehouse import conf
from warehouse.errors import ConnectionInUse, ConnectionPaused, NameTaken
from warehouse.models import ConnectionMode, TestStatus, WarehouseConnection

log = structlog.get_logger(__name__)


class ConnectionConfig(BaseModel):
    """What a team may set on a connection beside its credentials; ``None`` is the service's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_s: int | None = Field(None, ge=1, le=3600)
    max_rows: int | None = Field(None, ge=1)
    max_bytes_scanned: int | None = Field(None, ge=0)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "ConnectionConfig":
        """Raises InvalidInput naming each field at fault."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as exc:
            fields = {
                ".".join(["config", *map(str, error["loc"])]): error["msg"] + "."
                for error in exc.errors()
            }
            raise InvalidInput("The config cannot be used.", fields=fields) from None


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
        """Raises UnknownProvider, InvalidCredentials, InvalidInput, HostRefused or HostUnknown."""
        form = registry.provider(provider).credentials_model.parse(credentials)
        settings = ConnectionConfig.parse(config or {})
        return cls(
            name, provider, ConnectionMode(mode), form, settings.model_dump(exclude_none=True)
        )


def network_policy() -> NetworkPolicy:
    """Public addresses and the operator's allow-list."""
    return NetworkPolicy.allowing(conf.allowed_private_hosts())


def connector_for(provider: str, credentials: Mapping[str, Any], context: JobContext) -> Connector:
    """A connector under the operator's network policy; nothing is opened yet."""
    return registry.provider(provider)(credentials, network=network_policy(), context=context)


def create(team: Any, user: Any, draft: Draft) -> WarehouseConnection:
    """Save a new connection with encrypted credentials; raises NameTaken."""
    connection = WarehouseConnection(team=team, created_by=user, name=draft.name)
    return _save(connection, draft)


def update(connection: WarehouseConnection, changes: Mapping[str, Any]) -> WarehouseConnection:
    """Apply ``changes``; credential fields left out keep their stored value.

    New credentials make the last test's answer void. Raises NameTaken, InvalidInput,
    CredentialsUnreadable.
    """
    with transaction.atomic():
        locked = WarehouseConnection.objects.for_team(connection.team_id).select_for_update()
        connection = locked.get(pk=connection.pk)
        if "is_active" in changes:
            connection.is_active = changes["is_active"]
        draft = Draft.of(
            name=changes.get("name", connection.name),
            provider=connection.provider,
            mode=changes.get("mode", connection.mode),
            credentials=_merged(connection, changes.get("credentials") or {}),
            config=changes.get("config", connection.config),
        )
        return _save(connection, draft, new_credentials=bool(changes.get("credentials")))


def _merged(connection: WarehouseConnection, new: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values under the new ones; ``null`` takes a field away."""
    merged = {**connection.read_credentials(), **new}
    return {name: value for name, value in merged.items() if value is not None}


def _save(
    connection: WarehouseConnection, draft: Draft, *, new_credentials: bool = True
) -> WarehouseConnection:
    connection.name, connection.mode = draft.name, draft.mode
    connection.provider, connection.config = draft.provider, draft.config
    if new_credentials:
        connection.target = draft.credentials.target()[:500]
        connection.set_credentials(draft.credentials.reveal())
        connection.last_tested_at = None
        connection.last_test_status = TestStatus.NEVER_TESTED
        connection.last_test_error = ""
    try:
        with transaction.atomic():
            connection.save()
    except IntegrityError as exc:
        if "connection_name_in_team" not in str(exc):
            raise
        raise NameTaken(fields={"name": "Taken."}) from None
    return connection


def delete(connection: WarehouseConnection) -> None:
    """Remove it and its credentials; raises ConnectionInUse while a pipeline needs it."""
    try:
        connection.delete()
    except models.ProtectedError:
        raise ConnectionInUse() from None


@contextmanager
def opened(connection: WarehouseConnection, *, run: str = "") -> Iterator[Connector]:
    """A connector for a saved connection, closed at the end.

    Raises ConnectionPaused and CredentialsUnreadable; every verb raises ConnectorError.
    """
    if not connection.is_active:
        raise ConnectionPaused()
    context = JobContext(team=str(connection.team_id), run=run)
    with connector_for(connection.provider, connection.read_credentials(), context) as connector:
        yield connector


def test_unsaved(team: Any, provider: str, credentials: Mapping[str, Any]) -> CheckReport:
    """Check credentials that are not kept."""
    with connector_for(provider, credentials, JobContext(team=str(team.pk))) as connector:
        return connector.check()


def test(connection: WarehouseConnection) -> CheckReport:
    """Check a saved connection, paused or not, and remember how it ended."""
    context = JobContext(team=str(connection.team_id))
    with connector_for(connection.provider, connection.read_credentials(), context) as connector:
        report = connector.check()
    _remember(connection, report)
    return report


def _remember(connection: WarehouseConnection, report: CheckReport) -> None:
    failure = report.failure
    connection.last_tested_at = timezone.now()
    connection.last_test_status = TestStatus.PASSED if report.ok else TestStatus.FAILED
    connection.last_test_error = f"{failure.name}: {failure.detail}" if failure else ""
    # Not save(): the credentials may have been changed while the check ran.
    same = WarehouseConnection.objects.for_team(connection.team_id).filter(
        pk=connection.pk, credential_version=connection.credential_version
    )
    same.update(
        last_tested_at=connection.last_tested_at,
        last_test_status=connection.last_test_status,
        last_test_error=connection.last_test_error,
    )
    log.info(
        "connection.tested",
        connection=str(connection.pk),
        team=str(connection.team_id),
        status=connection.last_test_status,
        code=failure.code if failure else "",
    )
