"""One authenticated REST call, and how its outcome becomes a response."""

import gzip
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.bigquery.errors import ApiError, denied, invalid, not_offered
from sandbox.bigquery.settings import Account
from sandbox.bigquery.tokens import Tokens

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A request whose sender is known. `path` has the parts of the route, `body` is raw."""

    account: Account
    method: str
    url_path: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    raw_query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as an object; raise the 400 of anything else."""
        if not self.body:
            return {}
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from error
        if not isinstance(found, dict):
            raise invalid("Invalid JSON payload received. Expected an object.")
        return found

    def number(self, name: str) -> int | None:
        """Return a whole number from the query string."""
        value = self.query.get(name)
        if value is None:
            return None
        if not value.isdecimal():
            raise invalid(f"Invalid value for {name}: {value}")
        return int(value)


Handler = Callable[[Call], Awaitable[dict[str, Any] | Response]]


def endpoint(
    handler: Handler, tokens: Tokens, project: str
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a handler: sign-in first, and every failure ends in an error of Google's shape."""

    async def answer(request: Request) -> Response:
        try:
            account = tokens.account(request.headers.get("authorization"))
            _check_project(request.path_params.get("project"), project)
            outcome = await handler(await _read(request, account))
        except ApiError as error:
            return error_response(error)
        except Exception as error:
            log.exception("%s %s broke the stand-in", request.method, request.url.path)
            message = f"this call broke it: {type(error).__name__}: {error}"
            return error_response(not_offered(message))
        return outcome if isinstance(outcome, Response) else JSONResponse(outcome)

    return answer


def error_response(error: ApiError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.code == 401 else None
    return JSONResponse(error.body(), error.code, headers)


async def _read(request: Request, account: Account) -> Call:
    body = await request.body()
    headers = list(request.headers.raw)
    if request.headers.get("content-encoding") == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            raise invalid(f"The request body is not gzip: {error}") from error
        replaced = (b"content-encoding", b"content-length")
        headers = [one for one in headers if one[0] not in replaced]
        headers.append((b"content-length", str(len(body)).encode()))
    return Call(
        account=account,
        method=request.method,
        url_path=request.url.path,
        path=request.path_params,
        query=request.query_params,
        raw_query=request.scope["query_string"],
        headers=headers,
        body=body,
    )


def _check_project(named: str | None, project: str) -> None:
    if named is not None and named != project:
        raise denied(
            f"Project {named}",
            f"User does not have bigquery.jobs.create permission in project {named}.",
        )
