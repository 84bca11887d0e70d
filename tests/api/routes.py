"""Every route of the API, and the least role that may call it."""

from typing import Any, NamedTuple

VIEWER, ANALYST, ADMIN = 1, 2, 3
SQL = {"sql": "SELECT 1"}


class Route(NamedTuple):
    """One way to call the API, and the least role that may."""

    method: str
    path: str
    least: int
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CONNECTIONS, PIPELINES = "warehouse_connections/", "pipelines/"
CHANNELS, QUERIES, VIEWS = "alert_channels/", "queries/", "views/"
JOINS = "table_joins/"
SYNCED = CONNECTIONS + "<connection_id>/synced_tables/"
MODES = CONNECTIONS + "<connection_id>/table_modes/"
ROUTES = [
    Route("GET", "warehouse_providers/", VIEWER),
    Route("GET", CONNECTIONS, VIEWER),
    Route("POST", CONNECTIONS, ADMIN, {}),
    Route("POST", CONNECTIONS + "test/", ADMIN, {}),
    Route("GET", CONNECTIONS + "<pk>/", VIEWER),
    Route("PATCH", CONNECTIONS + "<pk>/", ADMIN, {"name": "renamed"}),
    Route("DELETE", CONNECTIONS + "<pk>/", ADMIN),
    Route("POST", CONNECTIONS + "<pk>/explain_mode/", VIEWER, {"mode": "hybrid"}),
    Route("POST", CONNECTIONS + "<pk>/test/", ANALYST),
    Route("GET", CONNECTIONS + "<pk>/schema/", VIEWER),
    Route("POST", CONNECTIONS + "<pk>/estimate_cost/", ANALYST, SQL),
    Route("POST", CONNECTIONS + "<pk>/query/", ANALYST, SQL),
    Route("POST", CONNECTIONS + "<pk>/invalidate_cache/", ANALYST),
    Route("GET", SYNCED, VIEWER),
    Route("POST", SYNCED, ADMIN, {}),
    Route("POST", SYNCED + "explain/", VIEWER, {}),
    Route("GET", SYNCED + "<pk>/", VIEWER),
    Route("DELETE", SYNCED + "<pk>/", ADMIN),
    Route("GET", SYNCED + "<pk>/explain_removal/", VIEWER),
    Route("POST", SYNCED + "<pk>/run/", ADMIN),
    Route("GET", MODES, VIEWER),
    Route("POST", MODES, ADMIN, {}),
    Route("POST", MODES + "explain/", VIEWER, {}),
    Route("GET", PIPELINES, VIEWER),
    Route("POST", PIPELINES, ADMIN, {}),
    Route("GET", PIPELINES + "<pk>/", VIEWER),
    Route("PATCH", PIPELINES + "<pk>/", ADMIN, {"name": "renamed"}),
    Route("DELETE", PIPELINES + "<pk>/", ADMIN),
    Route("POST", PIPELINES + "<pk>/run/", ADMIN),
    Route("POST", PIPELINES + "<pk>/pause/", ADMIN),
    Route("POST", PIPELINES + "<pk>/resume/", ADMIN),
    Route("POST", PIPELINES + "<pk>/refresh/", ADMIN, {}),
    Route("GET", PIPELINES + "<pk>/runs/", VIEWER),
    Route("GET", PIPELINES + "<pk>/runs/<run_id>/", VIEWER),
    Route("POST", PIPELINES + "<pk>/runs/<run_id>/retry/", ADMIN),
    Route("POST", PIPELINES + "<pk>/runs/<run_id>/cancel/", ADMIN),
    Route("GET", PIPELINES + "<pk>/runs/<run_id>/quarantine/", ANALYST),
    Route("GET", CHANNELS, VIEWER),
    Route("POST", CHANNELS, ADMIN, {}),
    Route("GET", CHANNELS + "<pk>/", VIEWER),
    Route("PATCH", CHANNELS + "<pk>/", ADMIN, {"name": "renamed"}),
    Route("DELETE", CHANNELS + "<pk>/", ADMIN),
    Route("POST", CHANNELS + "<pk>/test/", ADMIN),
    Route("GET", CHANNELS + "<pk>/deliveries/", VIEWER),
    Route("GET", JOINS, VIEWER),
    Route("POST", JOINS, ADMIN, {}),
    Route("GET", JOINS + "<pk>/", VIEWER),
    Route("PATCH", JOINS + "<pk>/", ADMIN, {"field": "renamed"}),
    Route("DELETE", JOINS + "<pk>/", ADMIN),
    Route("POST", "events/", ADMIN, {}),
    Route("GET", "catalog/", VIEWER),
    Route("GET", "catalog/functions/", VIEWER),
    Route("GET", QUERIES, VIEWER),
    Route("POST", QUERIES, ANALYST, {}),
    Route("POST", QUERIES + "plan/", ANALYST, {}),
    Route("GET", QUERIES + "<pk>/", VIEWER),
    Route("GET", QUERIES + "<pk>/result/", ANALYST),
    Route("POST", QUERIES + "<pk>/cancel/", ANALYST),
    Route("GET", VIEWS, VIEWER),
    Route("POST", VIEWS, ANALYST, {}),
    Route("GET", VIEWS + "lineage/", VIEWER),
    Route("GET", VIEWS + "<pk>/", VIEWER),
    Route("PATCH", VIEWS + "<pk>/", ANALYST, {"description": "changed"}),
    Route("DELETE", VIEWS + "<pk>/", ADMIN),
    Route("POST", VIEWS + "<pk>/refresh/", ANALYST, {}),
    Route("GET", VIEWS + "<pk>/refreshes/", VIEWER),
    Route("GET", VIEWS + "<pk>/blockers/", VIEWER),
    Route("GET", VIEWS + "<pk>/lineage/", VIEWER),
]
