"""Connections to outside warehouses, usable from a plain script.

from connectors import connect
with connect("postgres", {"host": …, "user": …, "password": …, "database": …}) as warehouse:
    for batch in warehouse.query("SELECT …"): …
"""

from collections.abc import Mapping
from typing import Any

from connectors import registry
from connectors.base import Connector
from connectors.network import NetworkPolicy
from connectors.types import JobContext, Limits

__all__ = ["Connector", "JobContext", "Limits", "NetworkPolicy", "connect"]


def connect(
    provider: str,
    credentials: Mapping[str, Any],
    *,
    network: NetworkPolicy | None = None,
    context: JobContext | None = None,
    own_identity: frozenset[str] = frozenset(),
    prices: Mapping[str, Any] | None = None,
) -> Connector:
    """A connector of ``provider``; nothing is opened before its first verb.

    ``own_identity`` lists where the machine's own identity may sign in without a secret, such as
    ``bigquery:my-project``. ``prices`` stand in the places of list prices (``prices_model``).
    Raises UnknownProvider, InvalidCredentials, or InvalidInput for a price.
    """
    return registry.provider(provider)(
        credentials, network=network, context=context, own_identity=own_identity, prices=prices
    )
