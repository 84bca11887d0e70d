"""What a client asks for when it starts a query, from either of the two REST calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.bigquery.errors import invalid, not_offered

# Of jobs.query's body, what belongs to the job's configuration and not to its query.
_OF_THE_JOB = ("dryRun", "jobTimeoutMs", "labels")
_OF_THE_QUERY = (
    "query",
    "defaultDataset",
    "useQueryCache",
    "useLegacySql",
    "parameterMode",
    "queryParameters",
    "maximumBytesBilled",
    "createSession",
    "connectionProperties",
    "destinationEncryptionConfiguration",
)
_NOT_OFFERED = {
    "destinationTable": "a destination table is not offered; use CREATE TABLE ... AS SELECT.",
    "createSession": "sessions are not offered.",
    "tableDefinitions": "external table definitions are not offered.",
    "userDefinedFunctionResources": "function resources are not offered.",
}


@dataclass(frozen=True)
class QueryRequest:
    """One query with its limits; `configuration` is echoed in the job."""

    sql: str
    configuration: Mapping[str, Any]
    parameters: list[Mapping[str, Any]] = field(default_factory=list)
    default_dataset: Mapping[str, str] | None = None
    dry_run: bool = False
    timeout_ms: int | None = None
    maximum_bytes_billed: int | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        return self.configuration.get("labels") or {}


def from_configuration(configuration: Mapping[str, Any]) -> QueryRequest:
    """Read a JobConfiguration that holds a query; raise ApiError for what is not offered."""
    query = configuration["query"]
    if query.get("useLegacySql"):
        raise not_offered("legacy SQL is not offered; set useLegacySql to false.")
    for key, sentence in _NOT_OFFERED.items():
        if query.get(key):
            raise not_offered(sentence)
    if any(one.get("key") == "session_id" for one in query.get("connectionProperties") or ()):
        raise not_offered(_NOT_OFFERED["createSession"])
    return QueryRequest(
        sql=query.get("query") or "",
        configuration={**configuration, "jobType": "QUERY"},
        parameters=query.get("queryParameters") or [],
        default_dataset=query.get("defaultDataset"),
        dry_run=bool(configuration.get("dryRun")),
        timeout_ms=number(configuration, "jobTimeoutMs"),
        maximum_bytes_billed=number(query, "maximumBytesBilled"),
    )


def from_query_body(body: Mapping[str, Any]) -> QueryRequest:
    """Read the body of jobs.query, where all is on one level."""
    query = {key: body[key] for key in _OF_THE_QUERY if key in body}
    # Unlike the clients, the REST interface takes legacy SQL unless told otherwise.
    query.setdefault("useLegacySql", True)
    job = {key: body[key] for key in _OF_THE_JOB if key in body}
    return from_configuration({**job, "query": query})


def number(given: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number, which REST may send as text; raise the 400 of anything else."""
    value = given.get(key)
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid value for {key}: {value}") from error
