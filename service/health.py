"""Liveness and readiness, for whoever supervises the service."""

import threading
from contextlib import closing

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from warehouse.store import place

log = structlog.get_logger(__name__)

ANSWER_S = 3.0
"""A database that takes longer is as good as none."""

_asking = threading.Lock()


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"alive": True})


def ready(request: HttpRequest) -> JsonResponse:
    """The process has its database, and its store if there is one: it can take requests.

    Answered within three times ANSWER_S.
    """
    missing = []
    if not _database_answers():
        missing.append("database")
    if place.configured() and not place.answers():
        missing.append("store")
    if missing:
        return JsonResponse({"ready": False, "missing": missing}, status=503)
    return JsonResponse({"ready": True})


def _database_answers() -> bool:
    """Asked in a thread, because nothing bounds a statement that a server leaves unanswered.

    One at a time: while that thread hangs, no other is started to hang beside it.
    """
    if not _asking.acquire(timeout=ANSWER_S):
        return False
    answered = threading.Event()
    asking = threading.Thread(target=_ask, args=[answered], daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    return answered.is_set()


def _ask(answered: threading.Event) -> None:
    try:
        # This thread's own: one kept from an earlier request may be dead by now.
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        answered.set()
    except DatabaseError as exc:
        log.warning("database.missing", error=type(exc).__name__)
    finally:
        _asking.release()
