"""INFORMATION_SCHEMA.QUERY_HISTORY(): what ran, under which tag, and how it ended."""

import pyarrow as pa
from sqlglot import exp

from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import unsupported
from sandbox.snowflake.jobs import Job

_FUNCTIONS = {"QUERY_HISTORY", "QUERY_HISTORY_BY_SESSION", "QUERY_HISTORY_BY_USER"}
_LIMIT = 100
_VIEW = "_sf_query_history"
_SCHEMA = pa.schema(
    [
        ("QUERY_ID", pa.string()),
        ("QUERY_TEXT", pa.string()),
        ("DATABASE_NAME", pa.string()),
        ("SCHEMA_NAME", pa.string()),
        ("SESSION_ID", pa.int64()),
        ("USER_NAME", pa.string()),
        ("ROLE_NAME", pa.string()),
        ("WAREHOUSE_NAME", pa.string()),
        ("QUERY_TAG", pa.string()),
        ("EXECUTION_STATUS", pa.string()),
        ("ERROR_CODE", pa.string()),
        ("ERROR_MESSAGE", pa.string()),
        ("START_TIME", pa.timestamp("us", "UTC")),
        ("END_TIME", pa.timestamp("us", "UTC")),
        ("TOTAL_ELAPSED_TIME", pa.int64()),
        ("BYTES_SCANNED", pa.int64()),
        ("ROWS_PRODUCED", pa.int64()),
    ]
)


def provide(context: Context, statement: exp.Expr) -> None:
    """Put the history in the place of each TABLE(INFORMATION_SCHEMA.QUERY_HISTORY...())."""
    for place in list(statement.find_all(exp.TableFromRows)):
        call = place.this.expression if isinstance(place.this, exp.Dot) else None
        if not isinstance(call, exp.Anonymous):
            continue
        name = call.name.upper()
        if name not in _FUNCTIONS:
            raise unsupported(f"table function {name}")
        jobs = context.jobs.all()
        if name == "QUERY_HISTORY_BY_SESSION":
            jobs = [job for job in jobs if job.session is context.session]
        context.duck.register(_VIEW, _table(jobs[-_limit(call) :]))
        table = exp.Table(
            this=exp.to_identifier(_VIEW, quoted=True),
            db=exp.to_identifier("main", quoted=True),
            catalog=exp.to_identifier("temp", quoted=True),
            alias=place.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name)),
        )
        place.replace(table)


def _limit(call: exp.Anonymous) -> int:
    limit = _LIMIT
    for argument in call.expressions:
        if not isinstance(argument, exp.Kwarg) or argument.this.name.upper() != "RESULT_LIMIT":
            raise unsupported("arguments of QUERY_HISTORY other than RESULT_LIMIT")
        limit = int(argument.expression.name)
    return limit


def _table(jobs: list[Job]) -> pa.Table:
    return pa.Table.from_pylist([_row(job) for job in jobs], schema=_SCHEMA)


def _row(job: Job) -> dict[str, object]:
    database, schema, warehouse, role = job.place
    elapsed = (job.ended_at - job.started_at).total_seconds() * 1000 if job.ended_at else None
    return {
        "QUERY_ID": job.id,
        "QUERY_TEXT": job.text,
        "DATABASE_NAME": database,
        "SCHEMA_NAME": schema,
        "SESSION_ID": job.session.number,
        "USER_NAME": job.session.user.name.upper(),
        "ROLE_NAME": role,
        "WAREHOUSE_NAME": warehouse,
        "QUERY_TAG": job.tag,
        "EXECUTION_STATUS": job.status,
        "ERROR_CODE": job.error.code if job.error else None,
        "ERROR_MESSAGE": job.error.message if job.error else None,
        "START_TIME": job.started_at,
        "END_TIME": job.ended_at,
        "TOTAL_ELAPSED_TIME": None if elapsed is None else int(elapsed),
        "BYTES_SCANNED": None,
        "ROWS_PRODUCED": job.rows,
    }
