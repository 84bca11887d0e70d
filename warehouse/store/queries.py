"""A team's own SELECT in the store: through the gate, then as the team's reader."""

from collections.abc import Mapping

from connectors.types import Limits
from warehouse.store import client
from warehouse.store.client import Params, Rows
from warehouse.store.gate import admit
from warehouse.store.names import database


def run(
    team_id: object,
    sql: str,
    params: Params | None = None,
    limits: Limits | None = None,
    query_id: str | None = None,
    semantics: Mapping[str, int] | None = None,
) -> Rows:
    """Its rows as they come. Raises ConnectorError: SqlRefused before anything is sent."""
    admitted = admit(sql, database(team_id))
    return client.reader(team_id).query(admitted, params, limits, query_id, semantics)
