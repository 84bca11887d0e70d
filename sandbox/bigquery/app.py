"""The web application: which path is answered by whom."""

from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bigquery.call import Handler, endpoint
from sandbox.bigquery.catalog_api import CatalogApi
from sandbox.bigquery.jobs_api import JobsApi
from sandbox.bigquery.passing_on import PassingOn
from sandbox.bigquery.tokens import GrantRefused, Tokens

_ROOT = "/bigquery/v2/projects"
_PROJECT = _ROOT + "/{project}"
_TABLE = _PROJECT + "/datasets/{dataset}/tables/{table}"
_ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build(
    tokens: Tokens, jobs: JobsApi, catalog: CatalogApi, passing_on: PassingOn, project: str
) -> Starlette:
    """Return the application for one project."""

    def route(method: str, path: str, handler: Handler) -> Route:
        return Route(path, endpoint(handler, tokens, project), methods=[method])

    async def token(request: Request) -> Response:
        form = parse_qsl((await request.body()).decode(errors="replace"))
        try:
            return JSONResponse(tokens.exchange(dict(form)))
        except GrantRefused as error:
            return JSONResponse(error.body, 400)

    anything = endpoint(passing_on.any, tokens, project)
    return Starlette(
        routes=[
            Route("/healthz", _health, methods=["GET"]),
            Route("/token", token, methods=["POST"]),
            route("GET", _ROOT, catalog.projects),
            route("POST", _PROJECT + "/queries", jobs.query),
            route("GET", _PROJECT + "/queries/{job}", jobs.results),
            route("POST", _PROJECT + "/jobs", jobs.insert),
            route("GET", _PROJECT + "/jobs", jobs.list),
            route("GET", _PROJECT + "/jobs/{job}", jobs.get),
            route("POST", _PROJECT + "/jobs/{job}/cancel", jobs.cancel),
            route("DELETE", _PROJECT + "/jobs/{job}/delete", jobs.delete),
            route("GET", _PROJECT + "/datasets", catalog.datasets),
            route("GET", _PROJECT + "/datasets/{dataset}/tables", catalog.tables),
            route("POST", _TABLE + ":testIamPermissions", catalog.permissions),
            route("GET", _TABLE, catalog.table),
            route("GET", _TABLE + "/data", catalog.rows),
            Route("/bigquery/v2/projects/{project}/{rest:path}", anything, methods=_ANY_METHOD),
            Route("/{path:path}", anything, methods=_ANY_METHOD),
        ]
    )


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
