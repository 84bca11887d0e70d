"""jobs.* and the results of queries."""

import asyncio
import re
import time
from typing import Any

from starlette.concurrency import run_in_threadpool

from sandbox.bigquery.call import Call
from sandbox.bigquery.errors import ApiError, invalid, job_not_found, permission_denied
from sandbox.bigquery.job_resource import dry_run_resource, job_resource, list_entry, reference
from sandbox.bigquery.jobs import CANCELLED, Job, Jobs
from sandbox.bigquery.passing_on import PassingOn
from sandbox.bigquery.query_request import (
    QueryRequest,
    from_configuration,
    from_query_body,
    number,
)
from sandbox.bigquery.rows import page, page_length, page_start
from sandbox.bigquery.runner import Runner
from sandbox.bigquery.settings import LOCATION

Resource = dict[str, Any]

_WAIT_MS = 10_000
_LONGEST_WAIT_MS = 200_000
_CANCEL_WAIT_S = 1.0
_JOBS_A_PAGE = 50
_LOCATION = re.compile(r"us|eu|[a-z]+-[a-z]+[0-9]+", re.IGNORECASE)


class JobsApi:
    """The handlers of one project. Load, copy and extract jobs are the emulator's own."""

    def __init__(self, jobs: Jobs, runner: Runner, passing_on: PassingOn, project: str) -> None:
        self._jobs = jobs
        self._runner = runner
        self._passing_on = passing_on
        self._project = project

    async def insert(self, call: Call) -> Any:
        """Start a job and return at once; a dry run is answered in full."""
        body = call.json()
        configuration = body.get("configuration") or {}
        if "query" not in configuration:
            if not call.account.can_write:
                raise permission_denied("bigquery.tables.create", f"Project {self._project}")
            return await self._passing_on.any(call)
        request = from_configuration(configuration)
        given = body.get("jobReference") or {}
        if not _LOCATION.fullmatch(location := given.get("location") or LOCATION):
            raise invalid(f"Invalid value for location: {location} is not a valid value")
        if request.dry_run:
            return await run_in_threadpool(self._dry_run, call, request)
        job_id = given.get("jobId")
        return job_resource(self._project, self._jobs.start(request, call.account, job_id))

    async def query(self, call: Call) -> Resource:
        """Run a query and wait for it, but no longer than the client wants."""
        body = call.json()
        request = from_query_body(body)
        if request.dry_run:
            return _without_job(await run_in_threadpool(self._dry_run, call, request))
        job = self._jobs.start(request, call.account)
        limit = number(body, "maxResults")
        answer = await self._results(job, call, number(body, "timeoutMs"), limit)
        return answer | {"kind": "bigquery#queryResponse", "queryId": job.id}

    async def results(self, call: Call) -> Resource:
        """Return a page of a query's rows, waiting for it if need be."""
        job = self._jobs.get(call.path["job"], call.account)
        wait_ms = call.number("timeoutMs")
        return await self._results(job, call, wait_ms, call.number("maxResults"))

    async def get(self, call: Call) -> Any:
        self._check_location(call)
        if self._jobs.find(call.path["job"]) is None:
            return await self._emulators_job(call)
        return job_resource(self._project, self._jobs.get(call.path["job"], call.account))

    async def _emulators_job(self, call: Call) -> Any:
        try:
            return await self._passing_on.any(call)
        except ApiError as error:
            raise job_not_found(self._project, call.path["job"]) from error

    async def list(self, call: Call) -> Resource:
        """List query jobs, the newest first: the sender's own unless all are asked for."""
        wanted = [job for job in self._jobs.newest_first() if _is_listed(job, call)]
        start = int(call.number("pageToken") or 0)
        size = call.number("maxResults") or _JOBS_A_PAGE
        found = wanted[start : start + size]
        answer: Resource = {
            "kind": "bigquery#jobList",
            "jobs": [list_entry(self._project, job) for job in found],
        }
        if start + size < len(wanted):
            answer["nextPageToken"] = str(start + size)
        return answer

    async def cancel(self, call: Call) -> Resource:
        """Ask for the end of a job and return; by then it has ended, as a rule."""
        self._check_location(call)
        job = self._jobs.get(call.path["job"], call.account)
        stopping = asyncio.create_task(run_in_threadpool(job.stop, CANCELLED))
        await asyncio.wait({stopping}, timeout=_CANCEL_WAIT_S)
        return {
            "kind": "bigquery#jobCancelResponse",
            "job": job_resource(self._project, job),
        }

    async def delete(self, call: Call) -> Resource:
        self._jobs.delete(self._jobs.get(call.path["job"], call.account))
        return {}

    def _dry_run(self, call: Call, request: QueryRequest) -> Resource:
        plan = self._runner.plan(
            request.sql, call.account, request.parameters, request.default_dataset
        )
        fields = self._runner.fields(plan)
        return dry_run_resource(self._project, plan, request, fields, int(time.time() * 1000))

    async def _results(
        self, job: Job, call: Call, wait_ms: int | None, limit: int | None
    ) -> Resource:
        answer: Resource = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": reference(self._project, job.id),
        }
        wait_s = min(_LONGEST_WAIT_MS, _WAIT_MS if wait_ms is None else wait_ms) / 1000
        await asyncio.wait({asyncio.wrap_future(job.finished)}, timeout=wait_s)
        if job.state != "DONE":
            return answer | {"jobComplete": False}
        return answer | await run_in_threadpool(self._complete, job, call, limit)

    def _complete(self, job: Job, call: Call, limit: int | None) -> Resource:
        if job.error is not None:
            raise job.error
        if job.result is None or job.outline is None:
            raise ApiError(404, "notFound", f"Not found: The result of job {job.id} was dropped")
        table = job.result.table
        start = page_start(call.query.get("pageToken"), call.number("startIndex") or 0)
        rows = table.slice(start, page_length(limit))
        estimate = job.outline.estimate.bytes_processed
        answer: Resource = {
            "jobComplete": True,
            "schema": {"fields": job.result.fields},
            "totalRows": str(table.num_rows),
            "cacheHit": False,
            **page(rows, start=start, total=table.num_rows),
        }
        if estimate is not None:
            answer["totalBytesProcessed"] = str(estimate)
        if job.result.affected_rows is not None:
            answer["numDmlAffectedRows"] = str(job.result.affected_rows)
        return answer

    def _check_location(self, call: Call) -> None:
        location = call.query.get("location", "US")
        if location.upper() != "US":
            raise job_not_found(self._project, call.path["job"])


def _is_listed(job: Job, call: Call) -> bool:
    # Google's client spells it True.
    if call.query.get("allUsers", "").lower() != "true" and job.account != call.account:
        return False
    wanted = call.query.get("stateFilter")
    since, until = call.number("minCreationTime"), call.number("maxCreationTime")
    return (
        (wanted is None or wanted.upper() == job.state)
        and (since is None or job.created_ms >= since)
        and (until is None or job.created_ms <= until)
        and "parentJobId" not in call.query
    )


def _without_job(resource: Resource) -> Resource:
    """Turn the Job of a dry run into what jobs.query answers."""
    statistics = resource["statistics"]
    answer = {
        "kind": "bigquery#queryResponse",
        "jobReference": resource["jobReference"],
        "jobComplete": True,
        "schema": statistics["query"]["schema"],
        "totalRows": "0",
        "cacheHit": False,
    }
    processed = statistics.get("totalBytesProcessed")
    return answer | ({} if processed is None else {"totalBytesProcessed": processed})
