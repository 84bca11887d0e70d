"""One fetch serves all who wait for it, in whichever process they are.

Whoever fetches has a row that says so and gives a sign of life every BEAT_S. After LEASE_S of
silence the fetch is somebody else's. All times are the database's.
"""

import math
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from connectors.errors import QueryCancelled, QueryTimeout
from warehouse.models import CachedResult, CacheStatus, WarehouseConnection

log = structlog.get_logger(__name__)

LEASE_S = 5.0
BEAT_S = 1.0
KEEP_S = 20.0
"""What keeps an answer for longer holds up those who wait for it."""
UNKEPT_S = 60.0
"""For so long an answer that could not be kept is not tried again."""
POLL_S = 0.02
LONGEST_POLL_S = 0.2


@dataclass(frozen=True)
class Wish:
    """Which answer is wanted, and how old it may be."""

    connection: WarehouseConnection
    key: str
    max_age_s: float
    stale_s: float
    """An answer older by at most this is taken too, and somebody is asked for a newer one."""
    timeout_s: float

    def results(self) -> QuerySet[CachedResult]:
        return CachedResult.objects.for_team(self.connection.team_id).filter(key=self.key)


@dataclass(frozen=True)
class Found:
    """An answer, and when it was found: how old it was, and since when it had not been used."""

    result: CachedResult
    age_s: float
    idle_s: float
    is_stale: bool


class Flight:
    """A fetch that others may be waiting for; ``land`` or ``give_up`` ends it."""

    def __init__(self, result: CachedResult) -> None:
        self.result = result
        self._over = threading.Event()
        self._ends_at = math.inf
        threading.Thread(target=self._beat, name="flight", daemon=True).start()

    def land(self, **facts: Any) -> list[CachedResult] | None:
        """Make the answer known; those whose place it takes, ``None`` when it is wanted no more."""
        self._over.set()
        results = CachedResult.objects.for_team(self.result.team_id)
        # In the order that invalidating locks them in, or each could wait for the other.
        of_key = results.filter(key=self.result.key).exclude(status=CacheStatus.NOT_KEPT)
        with transaction.atomic():
            found = of_key.order_by("pk").select_for_update(of=("self",))
            replaced = list(found.defer("sql", "sealed_inputs", "content"))
            if self.result not in replaced:
                return None
            replaced.remove(self.result)
            results.filter(pk__in=[result.pk for result in replaced]).delete()
            self._mine().update(status=CacheStatus.READY, last_used_at=Now(), **facts)
        return replaced

    def hurry(self) -> None:
        """From now on KEEP_S are left: the answer is there, and only its keeping takes so long."""
        self._ends_at = time.monotonic() + KEEP_S

    def give_up(self, *, tell: bool = False) -> None:
        """Let the others try; with ``tell`` each by itself, as the answer could not be kept."""
        self._over.set()
        try:
            if tell:
                self._mine().update(status=CacheStatus.NOT_KEPT, heartbeat_at=Now())
            else:
                self._mine().delete()
        except DatabaseError:
            # They will try when the lease has run out.
            log.warning("flight.not_given_up", result=str(self.result.pk))

    def _mine(self) -> QuerySet[CachedResult]:
        return CachedResult.objects.for_team(self.result.team_id).filter(
            pk=self.result.pk, status=CacheStatus.FETCHING
        )

    def _beat(self) -> None:
        try:
            while not self._over.wait(BEAT_S) and time.monotonic() < self._ends_at:
                try:
                    self._mine().update(heartbeat_at=Now())
                except DatabaseError:
                    # It may be back before the lease runs out.
                    log.warning("flight.heartbeat_failed", result=str(self.result.pk))
                    connection.close()
        finally:
            connection.close()


def fresh(wish: Wish) -> Found | None:
    """The answer, if it is there and young enough."""
    ready = _seen(wish).get(CacheStatus.READY)
    return _usable(wish, ready, None) if ready else None


def search(wish: Wish, cancelled: threading.Event) -> Found | Flight | None:
    """The answer; or the fetching of it, for the caller to do; or neither: fetch, and keep nothing.

    Waits while another fetches. Raises QueryTimeout, and QueryCancelled once ``cancelled`` is set.
    """
    deadline = time.monotonic() + wish.timeout_s
    awaited: UUID | None = None
    pause_s = POLL_S
    while True:
        seen = _seen(wish)
        ready, fetching = seen.get(CacheStatus.READY), seen.get(CacheStatus.FETCHING)
        if ready and (usable := _usable(wish, ready, awaited)):
            return usable
        if (unkept := seen.get(CacheStatus.NOT_KEPT)) and unkept.silence_s < UNKEPT_S:
            return None
        if fetching is None or fetching.silence_s > LEASE_S:
            try:
                if flight := _claimed(wish, fetching):
                    return flight
            except IntegrityError:
                # The connection has been deleted meanwhile.
                return None
        elif awaited is None and fetching.age_s > wish.max_age_s:
            # What comes of it would be too old.
            return None
        else:
            awaited = fetching.result.pk
        if cancelled.wait(pause_s):
            raise QueryCancelled()
        if time.monotonic() > deadline:
            raise QueryTimeout()
        pause_s = min(pause_s * 1.5, LONGEST_POLL_S)


@dataclass(frozen=True)
class _Seen:
    result: CachedResult
    at: datetime

    @property
    def age_s(self) -> float:
        return (self.at - self.result.created_at).total_seconds()

    @property
    def silence_s(self) -> float:
        return (self.at - self.result.heartbeat_at).total_seconds()

    @property
    def idle_s(self) -> float:
        return (self.at - self.result.last_used_at).total_seconds()


def _seen(wish: Wish) -> dict[str, _Seen]:
    """The newest of each status, by one look."""
    rows = sorted(wish.results().annotate(seen_at=Now()), key=lambda row: row.created_at)
    return {row.status: _Seen(row, row.seen_at) for row in rows}


def _usable(wish: Wish, ready: _Seen, awaited: UUID | None) -> Found | None:
    if ready.age_s <= wish.max_age_s or ready.result.pk == awaited:
        return Found(ready.result, ready.age_s, ready.idle_s, is_stale=False)
    if wish.stale_s and ready.age_s <= wish.max_age_s + wish.stale_s and ready.result.sealed_inputs:
        return Found(ready.result, ready.age_s, ready.idle_s, is_stale=True)
    return None


def _claimed(wish: Wish, lost: _Seen | None) -> Flight | None:
    """The fetch, unless somebody was faster; one that was ``lost`` is over."""
    if lost is not None:
        log.warning("flight.lost", result=str(lost.result.pk))
        silent = Now() - timedelta(seconds=LEASE_S)
        wish.results().filter(
            pk=lost.result.pk, status=CacheStatus.FETCHING, heartbeat_at__lt=silent
        ).delete()
    made = CachedResult(team_id=wish.connection.team_id, connection=wish.connection, key=wish.key)
    CachedResult.all_teams.bulk_create([made], ignore_conflicts=True)
    return Flight(made) if wish.results().filter(pk=made.pk).exists() else None
