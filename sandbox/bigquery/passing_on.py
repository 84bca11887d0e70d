"""Calls that the emulator answers itself, after a look at who sends them and what they touch."""

import json
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from sandbox.bigquery.asgi_call import Answer
from sandbox.bigquery.asgi_call import call as call_app
from sandbox.bigquery.call import Call
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.errors import (
    ApiError,
    dataset_not_found,
    not_offered,
    permission_denied,
    table_denied,
    table_not_found,
)
from sandbox.bigquery.settings import Account
from sandbox.bigquery.sizes import Sizes

_RESOURCE = re.compile(
    r"/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)(?:/tables/(?P<table>[^/:]+))?"
)
_KEPT_HEADERS = (b"content-type", b"location", b"range", b"x-goog-upload-status")
_CALLER = b"x-bqemu-caller"


class PassingOn:
    """Guards and calls bqemulator's web application."""

    def __init__(self, emulator: Emulator, sizes: Sizes, project: str) -> None:
        self._emulator = emulator
        self._sizes = sizes
        self._project = project

    async def any(self, call: Call) -> Response:
        """Check a call and pass it on; what comes back other than success gets Google's shape."""
        return _response(await run_in_threadpool(self.answer, call))

    def answer(self, call: Call) -> Answer:
        self._check(call)
        caller = f"serviceAccount:{call.account.email}".encode()
        headers = [one for one in call.headers if one[0] != _CALLER] + [(_CALLER, caller)]
        try:
            answer = call_app(
                self._emulator.app,
                call.method,
                call.url_path,
                call.raw_query,
                headers,
                _typed(call),
            )
        finally:
            if call.method != "GET":
                self._sizes.forget()
        if answer.status >= 400:
            raise _error(answer)
        return answer

    def check_access(self, account: Account, project: str, dataset: str, table: str | None) -> None:
        """Raise the 403 or 404 of a dataset or table."""
        if dataset in account.denied_datasets:
            if table is not None:
                raise table_denied(project, dataset, table)
            raise permission_denied("bigquery.datasets.get", f"Dataset {project}:{dataset}")
        if self._emulator.catalog.get_dataset(project, dataset) is None:
            raise dataset_not_found(project, dataset)
        if table is not None and self._emulator.catalog.get_table(project, dataset, table) is None:
            raise table_not_found(project, dataset, table)

    def _check(self, call: Call) -> None:
        found = _RESOURCE.search(call.url_path)
        if found is not None:
            self.check_access(call.account, found["project"], found["dataset"], found["table"])
        if call.method == "GET":
            return
        if not call.account.can_write:
            raise self._write_denied(call, found)
        body = _object(call)
        if found is not None and (body.get("view") or body.get("materializedView")):
            raise not_offered("views are made with CREATE VIEW only.")
        if "tableConstraints" in body:
            raise not_offered("keys are declared in CREATE TABLE only.")
        if found is not None and found["table"] and "schema" in body and call.method != "POST":
            raise not_offered("a table's schema is changed with ALTER TABLE only.")

    def _write_denied(self, call: Call, found: re.Match[str] | None) -> ApiError:
        if found is None:
            return permission_denied("bigquery.tables.create", f"Project {self._project}")
        where = f"{found['project']}:{found['dataset']}"
        verb = "delete" if call.method == "DELETE" else "update"
        if not found["table"]:
            return permission_denied(f"bigquery.datasets.{verb}", f"Dataset {where}")
        verb = "updateData" if call.url_path.endswith("/insertAll") else verb
        return permission_denied(f"bigquery.tables.{verb}", f"Table {where}.{found['table']}")


def _typed(call: Call) -> bytes:
    """Give an upload a media type: the emulator insists on one, Google's client names none."""
    if not call.url_path.startswith("/upload/"):
        return call.body
    return call.body.replace(b"content-type: */*", b"content-type: application/octet-stream", 1)


def _object(call: Call) -> dict[str, Any]:
    """Return the body where it is an object; uploads are something else."""
    try:
        found = json.loads(call.body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(answer: Answer) -> ApiError:
    try:
        error = json.loads(answer.body)["error"]
        message, reason = error["message"], error["errors"][0]["reason"]
    except (ValueError, KeyError, TypeError, IndexError):
        return not_offered("this call is not offered.")
    if answer.status >= 500:
        return not_offered(message)
    return ApiError(answer.status, reason, message)


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    response.raw_headers.extend(one for one in answer.headers if one[0].lower() in _KEPT_HEADERS)
    return response
