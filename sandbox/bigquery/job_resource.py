"""Jobs as REST shows them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox.bigquery.estimate import Estimate
from sandbox.bigquery.jobs import Job
from sandbox.bigquery.query_request import QueryRequest
from sandbox.bigquery.resolve import RESULTS
from sandbox.bigquery.runner import Outline, Plan, Result
from sandbox.bigquery.settings import LOCATION

Resource = dict[str, Any]


def reference(project: str, job_id: str) -> Resource:
    return {"projectId": project, "jobId": job_id, "location": LOCATION}


def job_resource(project: str, job: Job) -> Resource:
    """Return a Job; what is not known is absent, never zero."""
    return {
        "kind": "bigquery#job",
        "id": f"{project}:{LOCATION}.{job.id}",
        "jobReference": reference(project, job.id),
        "configuration": _configuration(project, job),
        "status": _status(job),
        "statistics": _statistics(job),
        "user_email": job.account.email,
        "principal_subject": f"serviceAccount:{job.account.email}",
    }


def list_entry(project: str, job: Job) -> Resource:
    """Return a job as jobs.list shows it: with its state and error on the outside as well."""
    resource = job_resource(project, job)
    entry = {**resource, "state": job.state}
    return entry | ({"errorResult": job.error.proto()} if job.error else {})


def dry_run_resource(
    project: str, plan: Plan, request: QueryRequest, fields: list[Resource], now_ms: int
) -> Resource:
    """Return the Job that a dry run answers with: done, without an id, nothing billed."""
    outline = plan.outline()
    query = _estimated(plan.estimate) | {
        "totalBytesBilled": "0",
        "cacheHit": False,
        "statementType": outline.statement_type,
        "totalBytesProcessedAccuracy": plan.estimate.accuracy,
        "referencedTables": _referenced(outline),
        "schema": {"fields": fields},
    }
    return {
        "kind": "bigquery#job",
        "id": f"{project}:{LOCATION}.",
        "jobReference": {"projectId": project, "location": LOCATION},
        "configuration": {**request.configuration, "dryRun": True},
        "status": {"state": "DONE"},
        "statistics": {
            "creationTime": str(now_ms),
            **_estimated(plan.estimate),
            "query": query,
        },
        "user_email": plan.account.email,
    }


def information_schema_rows(project: str, jobs: list[Job]) -> Iterator[Resource]:
    """Yield what INFORMATION_SCHEMA.JOBS shows."""
    for job in jobs:
        estimate = job.outline.estimate if job.outline and job.result else None
        yield {
            "creation_time": _time(job.created_ms),
            "project_id": project,
            "user_email": job.account.email,
            "job_id": job.id,
            "job_type": "QUERY",
            "statement_type": job.outline.statement_type if job.outline else None,
            "priority": job.request.configuration["query"].get("priority", "INTERACTIVE"),
            "start_time": _time(job.started_ms),
            "end_time": _time(job.ended_ms),
            "query": job.request.sql,
            "state": job.state,
            "total_bytes_processed": estimate.bytes_processed if estimate else None,
            "total_bytes_billed": estimate.bytes_billed if estimate else None,
            "cache_hit": False,
            "error_result": job.error.proto() if job.error else None,
            "labels": [{"key": key, "value": one} for key, one in job.request.labels.items()],
        }


def _configuration(project: str, job: Job) -> Resource:
    destination = {"projectId": project, "datasetId": RESULTS, "tableId": job.table_id}
    given = job.request.configuration
    return {**given, "query": {"destinationTable": destination, **given["query"]}}


def _status(job: Job) -> Resource:
    status: Resource = {"state": job.state}
    if job.error is not None:
        status |= {"errorResult": job.error.proto(), "errors": [job.error.proto()]}
    return status


def _statistics(job: Job) -> Resource:
    statistics: Resource = {"creationTime": str(job.created_ms)}
    if job.started_ms is not None:
        statistics["startTime"] = str(job.started_ms)
    if job.ended_ms is not None:
        statistics["endTime"] = str(job.ended_ms)
    if job.started_ms is not None and job.ended_ms is not None:
        statistics["finalExecutionDurationMs"] = str(job.ended_ms - job.started_ms)
    if job.outline is None:
        return statistics
    if job.result is None:
        return statistics | {"query": {"statementType": job.outline.statement_type}}
    processed = _estimated(job.outline.estimate)
    query = processed | _query_statistics(job.outline, job.result)
    return statistics | processed | {"query": query}


def _query_statistics(outline: Outline, result: Result) -> Resource:
    billed = outline.estimate.bytes_billed
    found: Resource = {
        "statementType": outline.statement_type,
        "cacheHit": False,
        "referencedTables": _referenced(outline),
    }
    if billed is not None:
        found |= {"totalBytesBilled": str(billed), "billingTier": 1}
    if result.affected_rows is not None:
        found["numDmlAffectedRows"] = str(result.affected_rows)
    if result.ddl_operation is not None:
        found["ddlOperationPerformed"] = result.ddl_operation
    return found


def _referenced(outline: Outline) -> list[Resource]:
    return [
        {"projectId": project, "datasetId": dataset, "tableId": table}
        for project, dataset, table in outline.refs
    ]


def _estimated(estimate: Estimate) -> Resource:
    processed = estimate.bytes_processed
    return {} if processed is None else {"totalBytesProcessed": str(processed)}


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
