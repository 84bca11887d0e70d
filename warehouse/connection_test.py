"""Tests of a connection, saved or not: step by step, and how the last one has ended."""

import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from django.utils import timezone

from connectors.base import Connector
from connectors.errors import QueryCancelled
from connectors.types import CheckReport, JobContext
from warehouse import connections
from warehouse.models import TestStatus, WarehouseConnection

log = structlog.get_logger(__name__)


class ConnectionTest:
    """One test of a connection, to be run once; ``cancel`` comes from another thread."""

    __test__ = False  # keeps test runners from taking it for a test

    def __init__(self, connector: Connector, saved: WarehouseConnection | None = None) -> None:
        self._connector = connector
        self._saved = saved
        self._run_id = str(uuid.uuid4())

    def run(self) -> CheckReport:
        """The steps; how they ended is remembered with a connection that is saved."""
        with self._connector:
            report = self._connector.check(self._run_id)
        failure = report.failure
        cancelled = failure is not None and failure.code == QueryCancelled.code
        if self._saved is not None and not cancelled:
            _remember(self._saved, report)
        return report

    def cancel(self) -> bool:
        """End it; false while it does not run."""
        reached = self._connector.cancel(self._run_id)
        log.info("test.cancelled", reached=reached)
        return reached


def of_unsaved(team: Any, provider: str, credentials: Mapping[str, Any]) -> ConnectionTest:
    """Of credentials that are not kept; raises UnknownProvider, InvalidCredentials."""
    connections.checked_credentials(provider, credentials)
    context = JobContext(team=str(team.pk))
    return ConnectionTest(connections.connector_for(provider, credentials, context))


def of(connection: WarehouseConnection) -> ConnectionTest:
    """Of a saved connection, paused or not; raises CredentialsUnreadable."""
    return ConnectionTest(connections.connector_of(connection), connection)


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
