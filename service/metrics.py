"""`/metrics`, for Prometheus. There is none unless METRICS_TOKEN is set."""

import hmac

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from etl import metrics

log = structlog.get_logger(__name__)


@require_safe
def scrape(request: HttpRequest) -> HttpResponse:
    """All pipelines of all teams, to whoever has the token."""
    if not settings.METRICS_TOKEN:
        raise Http404
    if not _is_authorized(request.headers.get("Authorization", "")):
        refused = HttpResponse("Send the token.\n", status=401, content_type="text/plain")
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    try:
        return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError as exc:
        log.warning("database.missing", error=type(exc).__name__)
        return HttpResponse("The database is away.\n", status=503, content_type="text/plain")


def _is_authorized(header: str) -> bool:
    scheme, _, token = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        token.encode(), str(settings.METRICS_TOKEN).encode()
    )
