"""The HTTP side: Snowflake's login, query, result, monitoring and abort requests."""

import asyncio
import gzip
import json
import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.snowflake.auth import authenticate
from sandbox.snowflake.config import Config
from sandbox.snowflake.errors import LoginRefused, SqlError
from sandbox.snowflake.jobs import Job, Jobs, Request
from sandbox.snowflake.results import Result
from sandbox.snowflake.sessions import Session, Sessions
from sandbox.snowflake.statements import cancels

_SERVER_VERSION = "10.0.0"
_TOKEN_VALID_S = 3600
_MASTER_VALID_S = 14400
_IN_PROGRESS, _IN_PROGRESS_ASYNC = "333333", "333334"
_Endpoint = Callable[[HttpRequest], Awaitable[Response]]
_WithSession = Callable[[HttpRequest, Session], Awaitable[Response]]


class Routes:
    """All requests a client makes."""

    def __init__(self, config: Config, sessions: Sessions, jobs: Jobs) -> None:
        """Serve these sessions and statements."""
        self._config = config
        self._sessions = sessions
        self._jobs = jobs

    def app(self) -> Starlette:
        """Return the application."""
        signed_in = self._signed_in
        return Starlette(
            routes=[
                Route("/session/v1/login-request", self._login, methods=["POST"]),
                Route("/session/token-request", self._renew, methods=["POST"]),
                Route("/session/heartbeat", signed_in(_heartbeat), methods=["POST"]),
                Route("/session", signed_in(self._session), methods=["POST"]),
                Route("/queries/v1/query-request", signed_in(self._query), methods=["POST"]),
                Route("/queries/v1/abort-request", signed_in(self._abort), methods=["POST"]),
                Route("/queries/{id}/abort-request", signed_in(self._abort), methods=["POST"]),
                Route("/queries/{id}/result", signed_in(self._result)),
                Route("/monitoring/queries/{id}", signed_in(self._monitor)),
                Route("/results/{key}/{id}/{chunk:int}", self._chunk),
                Route("/telemetry/send", _accept, methods=["POST"]),
                Route("/health", _accept),
            ]
        )

    def _signed_in(self, endpoint: _WithSession) -> _Endpoint:
        async def serve(request: HttpRequest) -> Response:
            session = self._sessions.get(_token(request))
            if session is None:
                return _refusal(
                    "390111",
                    "Session no longer exists.  New login required to access the service.",
                )
            return await endpoint(request, session)

        return serve

    async def _login(self, request: HttpRequest) -> Response:
        login = (await _body(request)).get("data") or {}
        wishes = {
            "database": request.query_params.get("databaseName"),
            "schema": request.query_params.get("schemaName"),
            "warehouse": request.query_params.get("warehouse"),
            "role": request.query_params.get("roleName"),
        }
        settings = login.get("SESSION_PARAMETERS") or {}
        try:
            user = authenticate(self._config, login)
            session = await asyncio.to_thread(self._sessions.open, user, wishes, settings)
        except LoginRefused as error:
            return _refusal(error.code, error.message)
        return JSONResponse({"success": True, "code": None, "message": None, "data": {
            "token": session.token,
            "masterToken": session.master_token,
            "validityInSeconds": _TOKEN_VALID_S,
            "masterValidityInSeconds": _MASTER_VALID_S,
            "displayUserName": user.name.upper(),
            "serverVersion": _SERVER_VERSION,
            "firstLogin": False,
            "remMeToken": None,
            "remMeValidityInSeconds": 0,
            "idToken": None,
            "mfaToken": None,
            "healthCheckInterval": 45,
            "sessionId": session.number,
            "parameters": _parameters(session),
            "sessionInfo": {
                "databaseName": session.database,
                "schemaName": session.schema,
                "warehouseName": session.warehouse,
                "roleName": session.role,
            },
        }})  # fmt: skip

    async def _renew(self, request: HttpRequest) -> Response:
        session = self._sessions.renew(_token(request))
        if session is None:
            return _refusal("390115", "Invalid master token.")
        return _success(
            {
                "sessionToken": session.token,
                "masterToken": session.master_token,
                "validityInSecondsST": _TOKEN_VALID_S,
                "validityInSecondsMT": _MASTER_VALID_S,
                "sessionId": session.number,
            }
        )

    async def _session(self, request: HttpRequest, session: Session) -> Response:
        if request.query_params.get("delete") == "true":
            self._sessions.forget(session)
            self._jobs.cancel_session(session)
            # In a thread of its own: closing waits for what has just been cancelled.
            threading.Thread(target=session.close, daemon=True).start()
        return _success(None)

    async def _query(self, request: HttpRequest, session: Session) -> Response:
        body = await _body(request)
        wanted = Request(
            text=str(body.get("sqlText") or ""),
            bindings=body.get("bindings") or {},
            describe_only=bool(body.get("describeOnly")),
            parameters={k.upper(): v for k, v in (body.get("parameters") or {}).items()},
        )
        if other := cancels(wanted.text):
            # It may be this session's own statement, for which this one has to wait its turn.
            self._jobs.cancel(other)
        request_id = request.query_params.get("requestId") or uuid.uuid4().hex
        job = self._jobs.submit(session, wanted, request_id)
        if body.get("asyncExec"):
            return _in_progress(job, _IN_PROGRESS_ASYNC)
        return await self._answer(request, job)

    async def _result(self, request: HttpRequest, session: Session) -> Response:
        job = self._jobs.get(request.path_params["id"])
        if job is None:
            return _refusal("000709", f"Statement {request.path_params['id']} not found")
        return await self._answer(request, job)

    async def _answer(self, request: HttpRequest, job: Job) -> Response:
        """Return a statement's outcome, or after a while that it still runs."""
        future = asyncio.wrap_future(job.future)
        done, _ = await asyncio.wait({future}, timeout=self._config.answer_within_s)
        if not done:
            # Not retrieved later: the next request waits on a future of its own.
            future.add_done_callback(lambda ended: ended.exception())
            return _in_progress(job, _IN_PROGRESS)
        outcome = future.exception() or future.result()
        if isinstance(outcome, SqlError):
            return _failure(job, outcome)
        if not isinstance(outcome, Result) or outcome.discarded:
            return _refusal("000709", f"Statement {job.id} not found")
        return _success(self._data(request, job, outcome))

    def _data(self, request: HttpRequest, job: Job, result: Result) -> dict[str, Any]:
        session = job.session
        root = f"{request.url.scheme}://{request.url.netloc}/results/{job.result_key}/{job.id}"
        return {
            "queryId": job.id,
            "parameters": _parameters(session),
            "finalDatabaseName": session.database,
            "finalSchemaName": session.schema,
            "finalWarehouseName": session.warehouse,
            "finalRoleName": session.role,
            "sqlState": "00000",
            **result.wire(lambda chunk: f"{root}/{chunk}"),
        }

    async def _abort(self, request: HttpRequest, session: Session) -> Response:
        if query_id := request.path_params.get("id"):
            found = self._jobs.cancel(query_id)
        else:
            body = await _body(request)
            found = self._jobs.cancel_request(session, str(body.get("requestId") or ""))
        if not found:
            return _refusal("000605", "Identified SQL statement is not currently executing.")
        return _success(None)

    async def _monitor(self, request: HttpRequest, session: Session) -> Response:
        job = self._jobs.get(request.path_params["id"])
        if job is None:
            return _success({"queries": []})
        query = {"id": job.id, "status": job.status, "sqlText": job.text}
        if job.error is not None:
            query |= {"errorCode": job.error.code, "errorMessage": job.error.message}
        return _success({"queries": [query]})

    async def _chunk(self, request: HttpRequest) -> Response:
        """Return a part of a result; the key in its address is the permission."""
        job = self._jobs.get(request.path_params["id"])
        if job is None or job.result_key != request.path_params["key"]:
            return Response(status_code=404)
        if not job.done or job.error is not None:
            return Response(status_code=404)
        chunks = job.future.result().chunks
        number = int(request.path_params["chunk"])
        if number >= len(chunks):
            return Response(status_code=404)
        return FileResponse(chunks[number].path, media_type="application/octet-stream")


async def _heartbeat(request: HttpRequest, session: Session) -> Response:
    return _success(None)


async def _accept(request: HttpRequest) -> Response:
    return _success(None)


async def _body(request: HttpRequest) -> dict[str, Any]:
    raw = await request.body()
    if request.headers.get("content-encoding") == "gzip":
        raw = gzip.decompress(raw)
    found = json.loads(raw or b"{}")
    return found if isinstance(found, dict) else {}


def _token(request: HttpRequest) -> str:
    # Snowflake Token="..."
    return request.headers.get("authorization", "").partition('"')[2].rstrip('"')


def _parameters(session: Session) -> list[dict[str, Any]]:
    return [
        {"name": "AUTOCOMMIT", "value": session.parameters.flag("AUTOCOMMIT")},
        {"name": "TIMEZONE", "value": "Etc/UTC"},
        {"name": "CLIENT_TELEMETRY_ENABLED", "value": False},
        {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
        # Else a client puts large batches of bound values on a stage of its own.
        {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
    ]


def _success(data: dict[str, Any] | None) -> Response:
    return JSONResponse({"success": True, "code": None, "message": None, "data": data})


def _refusal(code: str, message: str) -> Response:
    return JSONResponse({"success": False, "code": code, "message": message, "data": None})


def _failure(job: Job, error: SqlError) -> Response:
    data = {
        "queryId": job.id,
        "errorCode": error.code,
        "sqlState": error.sqlstate,
        "internalError": False,
        "line": -1,
        "pos": -1,
        "type": "COMPILATION",
    }
    answer = {"success": False, "code": error.code, "message": error.message, "data": data}
    return JSONResponse(answer)


def _in_progress(job: Job, code: str) -> Response:
    address = f"/queries/{job.id}/result"
    data = {
        "queryId": job.id,
        "getResultUrl": address,
        "queryAbortsAfterSecs": 300,
        "progressDesc": None,
    }
    return JSONResponse({"success": True, "code": code, "message": None, "data": data})
