"""What every request passes before any view."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from api.problems import Problem, respond

MAX_REQUEST_BYTES = 2**20
"""A query has 100,000 characters at most, a key file a few thousand: 1 MiB is plenty."""


class RequestSizeLimit:
    """Answer 413 to a body that is too large, before it is read into memory."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if (
            request.path.startswith("/api/")
            and length.isdigit()
            and int(length) > MAX_REQUEST_BYTES
        ):
            return respond(
                Problem(
                    status=413,
                    code="request_too_large",
                    title="The request is too large.",
                    hint=f"Send at most {MAX_REQUEST_BYTES:,} bytes.",
                )
            )
        return self._get_response(request)
