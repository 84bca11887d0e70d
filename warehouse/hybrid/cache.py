"""Answers are forgotten: when they are out of date, when others need the room, when told to."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.db.models.functions import Now

from connectors.errors import ConnectorError
from warehouse import conf
from warehouse.hybrid import pieces
from warehouse.hybrid.flights import LEASE_S, UNKEPT_S
from warehouse.models import CachedResult, CacheStatus, QueryOutcome, QueryRun, WarehouseConnection
from warehouse.store import names, place

log = structlog.get_logger(__name__)

PLAIN_NAME = re.compile(r"\w+")
AT_ONCE = 100
"""How many are forgotten between two looks at the room that is taken."""


def invalidate(
    team: Any, connection: WarehouseConnection, tables: Iterable[str] | None = None
) -> int:
    """Forget a connection's answers, those under way too; how many.

    With ``tables`` (bare names) only those whose text names one of them: what reads a table
    through a view is not seen. Called inside a transaction, it takes effect with its end.
    """
    results = CachedResult.objects.for_team(team).filter(connection=connection)
    if tables is not None:
        results = results.filter(_naming(tables))
    return _forget(results.select_for_update(of=("self",)))


def kept(
    connection: WarehouseConnection, tables: Iterable[str] | None = None
) -> tuple[int, datetime | None]:
    """How many answers of a connection may serve others, and as of when the oldest is; of
    ``tables`` those whose text names one."""
    ready = CachedResult.objects.for_team(connection.team_id).filter(
        connection=connection, status=CacheStatus.READY, expires_at__gt=Now()
    )
    if tables is not None:
        ready = ready.filter(_naming(tables))
    found = ready.aggregate(count=Count("pk"), oldest=Min("created_at"))
    return found["count"], found["oldest"]


def make_room() -> int:
    """Forget those not used for longest, until the rest fits into STORE_CACHE_MB; how many."""
    forgotten = 0
    ready = CachedResult.all_teams.filter(status=CacheStatus.READY)
    most = conf.store_cache_mb() * 10**6
    while (excess := (ready.aggregate(Sum("size_bytes"))["size_bytes__sum"] or 0) - most) > 0:
        gone = _forget(_free(ready.filter(pk__in=list(_oldest(ready, excess)))))
        if not gone:
            # Another process is at it.
            break
        forgotten += gone
    return forgotten


def sweep() -> None:
    """Forget what is out of date or was left behind, and tables that are nobody's."""
    lost = Q(status=CacheStatus.FETCHING, heartbeat_at__lt=Now() - timedelta(seconds=LEASE_S))
    unkept = Q(status=CacheStatus.NOT_KEPT, heartbeat_at__lt=Now() - timedelta(seconds=UNKEPT_S))
    over = Q(expires_at__lt=Now()) | lost | unkept
    expired = _forget(_free(CachedResult.all_teams.filter(over)))
    evicted = make_room()
    orphans = _drop_orphans() if place.configured() else 0
    log.info("cache.swept", expired=expired, evicted=evicted, orphans=orphans)


def _oldest(ready: QuerySet[CachedResult], excess: int) -> Iterator[Any]:
    """Those not used for longest, AT_ONCE at most, of ``excess`` bytes together."""
    for pk, size in ready.order_by("last_used_at").values_list("pk", "size_bytes")[:AT_ONCE]:
        if excess <= 0:
            return
        excess -= size
        yield pk


def _free(results: QuerySet[CachedResult]) -> QuerySet[CachedResult]:
    """Those that nobody else is changing."""
    return results.select_for_update(of=("self",), skip_locked=True)


def _forget(results: QuerySet[CachedResult]) -> int:
    with transaction.atomic():
        gone = list(results.order_by("pk").defer("sql", "sealed_inputs", "content"))
        CachedResult.all_teams.filter(pk__in=[result.pk for result in gone]).delete()
        transaction.on_commit(partial(pieces.drop, gone))
    return len(gone)


def _naming(tables: Iterable[str]) -> Q:
    """Answers that may be of these tables."""
    wanted = Q(sql="")
    for name in tables:
        if not PLAIN_NAME.fullmatch(name):
            # In a text it may be written in more than one way.
            return Q()
        wanted |= Q(sql__iregex=rf"(^|\W){name}(\W|$)")
    return wanted


def _drop_orphans() -> int:
    # The tables first: whoever makes one has made its row before.
    try:
        tables = pieces.tables()
    except ConnectorError as exc:
        log.warning("cache.not_swept", code=exc.code)
        return 0
    is_kept = Q(result_expires_at__isnull=False) | Q(outcome=QueryOutcome.RUNNING)
    kept = QueryRun.all_teams.filter(is_kept).order_by()
    ids = chain(
        CachedResult.all_teams.values_list("pk", flat=True), kept.values_list("pk", flat=True)
    )
    known = {names.result_table(pk) for pk in ids}
    orphans = [(database, table) for database, table in tables if table not in known]
    for database, table in orphans:
        pieces.drop_table(database, table)
    return len(orphans)
