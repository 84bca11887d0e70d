"""What becomes of a team's database in the store when the team is deleted."""

from functools import partial
from typing import Any

import structlog
from django.db import transaction

from connectors.errors import ConnectorError
from warehouse.store import client, place

log = structlog.get_logger(__name__)


def drop_with_team(sender: Any, instance: Any, **_: Any) -> None:
    """Once the deletion of a team is committed, drop its database; without a store do nothing."""
    if place.configured():
        transaction.on_commit(partial(_drop, instance.pk))


def _drop(team_id: object) -> None:
    try:
        client.drop_database(team_id)
    except ConnectorError as exc:
        # The team is gone by now, whether the store answers or not.
        log.warning("store.database_left", team=str(team_id), code=exc.code)
