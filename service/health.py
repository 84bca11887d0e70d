"""Liveness and readiness, for whoever supervises the service."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"alive": True})


def ready(request: HttpRequest) -> JsonResponse:
    """The process has its database: it can take requests."""
    try:
        # A statement, because a connection kept from an earlier request may be dead by now.
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"ready": False, "missing": ["database"]}, status=503)
    return JsonResponse({"ready": True})
