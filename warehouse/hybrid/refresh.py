"""An answer that was served beyond its time is fetched anew, for the next who asks."""

import structlog

from connectors.errors import ConnectorError
from warehouse import query_executor, secrets
from warehouse.hybrid.keys import recalled
from warehouse.models import CachedResult, CacheStatus

log = structlog.get_logger(__name__)


def refresh(result_id: str) -> None:
    """Ask the warehouse again, unless somebody does already or the answer has been forgotten."""
    rows = CachedResult.all_teams.select_related("connection").filter(status=CacheStatus.READY)
    result = rows.filter(pk=result_id).first()
    if result is None or not result.sealed_inputs:
        return
    if CachedResult.all_teams.filter(key=result.key, status=CacheStatus.FETCHING).exists():
        return
    try:
        sealed = secrets.decrypt(result.sealed_inputs, result.secret_context)
        statement, max_rows = recalled(result.sql, sealed["inputs"])
        with query_executor.run(result.connection, statement, max_rows, max_age_s=0) as run:
            run.start()
            for _ in run:
                pass
    except ConnectorError as exc:
        log.warning("cached_result.not_refreshed", result=result_id, code=exc.code)
