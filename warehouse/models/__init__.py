"""What a team owns."""

from warehouse.models.cached_result import CachedResult, CacheStatus
from warehouse.models.connection import ConnectionMode, TestStatus, WarehouseConnection
from warehouse.models.query_run import QueryOutcome, QueryRun
from warehouse.models.scope import TeamManager
from warehouse.models.sealed import Sealed, SealedCredentials
from warehouse.models.synced import SyncedTable
from warehouse.models.table_join import TableJoin
from warehouse.models.table_mode import TableMode
from warehouse.models.team import Membership, Team, team_model
from warehouse.models.view import RefreshStatus, RefreshTrigger, View, ViewRefresh

__all__ = [
    "CacheStatus",
    "CachedResult",
    "ConnectionMode",
    "Membership",
    "QueryOutcome",
    "QueryRun",
    "RefreshStatus",
    "RefreshTrigger",
    "Sealed",
    "SealedCredentials",
    "SyncedTable",
    "TableJoin",
    "TableMode",
    "Team",
    "TeamManager",
    "TestStatus",
    "View",
    "ViewRefresh",
    "WarehouseConnection",
    "team_model",
]
