"""Which statement is which, and what has to happen around each."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb
from sqlglot import exp

from sandbox.snowflake import (
    copy_into,
    dml,
    explain,
    grants,
    places,
    queries,
    session_statements,
    show,
    stages,
    tables,
)
from sandbox.snowflake.bindings import bind
from sandbox.snowflake.context import Context
from sandbox.snowflake.duckdb_errors import explain_error
from sandbox.snowflake.errors import no_warehouse, not_allowed, syntax, unsupported
from sandbox.snowflake.jobs import Job, Jobs
from sandbox.snowflake.names import TableName
from sandbox.snowflake.parse import (
    QUERY,
    parse_one,
    tables_of,
    target_of,
    without_leading_comments,
    written_name,
)
from sandbox.snowflake.results import Result

_Handler = Callable[[Context, Any], Result]


@dataclass(frozen=True)
class _Kind:
    """How a kind of statement is run, and what it does to transactions and tables."""

    run: _Handler
    writes: bool = False
    ends_transaction: bool = False
    locks: bool = False
    needs_warehouse: bool = False


_DDL = {"writes": True, "ends_transaction": True}
_DML = {"writes": True, "locks": True, "needs_warehouse": True}
_QUERY_KIND = _Kind(queries.select, needs_warehouse=True)
_KINDS: dict[type[exp.Expr], _Kind] = {
    **dict.fromkeys((exp.Select, exp.Subquery), _QUERY_KIND),
    **dict.fromkeys((exp.Union, exp.Except, exp.Intersect), _QUERY_KIND),
    exp.Insert: _Kind(dml.insert, writes=True, needs_warehouse=True),
    exp.Update: _Kind(dml.update, **_DML),
    exp.Delete: _Kind(dml.delete, **_DML),
    exp.Merge: _Kind(dml.merge, **_DML),
    exp.Copy: _Kind(copy_into.copy_into, writes=True, needs_warehouse=True),
    exp.Alter: _Kind(tables.alter_table, **_DDL, locks=True),
    exp.TruncateTable: _Kind(tables.truncate, **_DDL, locks=True),
    exp.Comment: _Kind(tables.comment_on, **_DDL),
    exp.Show: _Kind(show.show),
    exp.Describe: _Kind(show.describe),
    exp.Use: _Kind(places.use),
    exp.ListStage: _Kind(stages.list_files),
    exp.Commit: _Kind(lambda context, _: session_statements.commit(context)),
    exp.Rollback: _Kind(lambda context, _: session_statements.rollback(context)),
    exp.Transaction: _Kind(lambda context, _: session_statements.begin(context)),
}
_CREATE_OR_DROP: dict[tuple[type[exp.Expr], str], _Kind] = {
    (exp.Create, "TABLE"): _Kind(tables.create_table, **_DDL, locks=True),
    (exp.Create, "VIEW"): _Kind(places.create_view, **_DDL),
    (exp.Create, "SCHEMA"): _Kind(places.create_schema, **_DDL),
    (exp.Create, "DATABASE"): _Kind(places.create_database, **_DDL),
    (exp.Create, "STAGE"): _Kind(stages.create_stage, **_DDL),
    (exp.Drop, "TABLE"): _Kind(tables.drop_table, **_DDL, locks=True),
    (exp.Drop, "VIEW"): _Kind(places.drop_view, **_DDL),
    (exp.Drop, "SCHEMA"): _Kind(places.drop_schema, **_DDL),
    (exp.Drop, "DATABASE"): _Kind(places.drop_database, **_DDL),
    (exp.Drop, "STAGE"): _Kind(stages.drop_stage, **_DDL),
}

_CATALOG = TableName("", "", "")

_WORDS: list[tuple[str, Callable[[Context, re.Match[str]], Result]]] = [
    (r"(?:begin(?:\s+(?:work|transaction))?|start\s+transaction)(?:\s+name\s+\w+)?\s*;?\s*",
     lambda c, _: session_statements.begin(c)),
    (r"alter\s+session\s+(set|unset)\s+(.+)",
     lambda c, m: session_statements.alter_session(c, m[1], m[2])),
    (r"show\s+parameters(?:\s+like\s+'([^']*)')?(?:\s+(?:in|for)\s+session)?\s*;?\s*",
     lambda c, m: show.parameters(c, m[1])),
    (r'show\s+grants\s+to\s+role\s+("[^"]+"|\w+)\s*;?\s*',
     lambda c, m: grants.show(c, m[1])),
    (r"select\s+system\$cancel_query\s*\(\s*'([^']*)'\s*\)\s*;?\s*",
     lambda c, m: session_statements.cancel_query(c, m[1])),
    (r"(?:select|call)\s+system\$wait\s*\(\s*([\d.]+)\s*(?:,\s*'?(\w+)'?\s*)?\)\s*;?\s*",
     lambda c, m: session_statements.wait(c, m[1], m[2])),
    (r"(?:rm|remove)\s+(@\S+?)\s*;?\s*", lambda c, m: stages.remove_files(c, m[1])),
]  # fmt: skip
_BY_WORDS = [(re.compile(pattern, re.I | re.S), run) for pattern, run in _WORDS]
_EXPLAIN = re.compile(r"explain\s+using\s+json\s+(.+)", re.I | re.S)
_CANCEL = re.compile(r"select\s+system\$cancel_query\s*\(\s*'([^']*)'\s*\)\s*;?\s*", re.I)


def execute(jobs: Jobs, job: Job) -> Result:
    """Run a statement in its session; raises SqlError, never anything of duckdb's."""
    context = Context(job, jobs)
    try:
        result = _execute(context)
    finally:
        context.session.transaction.finish_statement()
        context.session.last_query_id = job.id
    return result


def cancels(text: str) -> str | None:
    """Return the query id a text asks to cancel: it must not wait for its session's turn."""
    found = _CANCEL.fullmatch(without_leading_comments(text))
    return found[1] if found else None


def _execute(context: Context) -> Result:
    text = without_leading_comments(context.job.request.text)
    for pattern, run in _BY_WORDS:
        if found := pattern.fullmatch(text):
            return _guarded(context, _Kind(partial(_run_words, run, found)), None)
    explained = _EXPLAIN.fullmatch(text)
    statement = parse_one(explained[1] if explained else context.job.request.text)
    if context.job.request.bindings and not isinstance(statement, exp.Insert):
        statement = bind(statement, context.job.request.bindings)
    if explained:
        return _guarded(context, _Kind(explain.explain), statement)
    kind = _kind(statement, text)
    if context.job.request.describe_only:
        return _guarded(context, _describing(statement, kind), statement)
    return _guarded(context, kind, statement)


def _run_words(
    run: Callable[[Context, re.Match[str]], Result],
    found: re.Match[str],
    context: Context,
    _: None,
) -> Result:
    return run(context, found)


def _kind(statement: exp.Expr, text: str) -> _Kind:
    if isinstance(statement, exp.Create | exp.Drop):
        word = str(statement.args.get("kind")).upper()
        kind = _CREATE_OR_DROP.get((type(statement), word))
        if kind is None:
            raise unsupported(f"{statement.key.upper()} {word}")
        return kind
    if (kind := _KINDS.get(type(statement))) is not None:
        return kind
    # sqlglot takes a lone word or expression for a statement of its own.
    if isinstance(statement, exp.Alias | exp.Column | exp.Literal | exp.Condition):
        raise syntax(text)
    raise unsupported(" ".join(text.split()[:2]).upper())


def _describing(statement: exp.Expr, kind: _Kind) -> _Kind:
    if not isinstance(statement, QUERY):
        raise unsupported("describing a statement other than a query")
    return _Kind(queries.describe, needs_warehouse=kind.needs_warehouse)


def _guarded(context: Context, kind: _Kind, statement: exp.Expr | None) -> Result:
    """Check rights, take locks, keep transactions whole, and translate errors."""
    transaction = context.session.transaction
    if not isinstance(statement, exp.Commit | exp.Rollback):
        transaction.use()
    # Noted now: running a statement changes it.
    written = [written_name(table) for table in tables_of(statement)] if statement else []
    if statement is not None:
        _allow(context, kind, statement)
    try:
        if kind.ends_transaction:
            transaction.commit()
        elif kind.writes and not context.session.parameters.flag("AUTOCOMMIT"):
            transaction.begin()
        targets = list(_targets(context, kind, statement))
        if kind.locks or kind.ends_transaction:
            timeout_s = context.session.parameters.number("LOCK_TIMEOUT")
            context.account.locks.acquire(context.session, targets, context.job.check, timeout_s)
        transaction.start()
        transaction.touch(targets)
        return kind.run(context, statement)
    except Exception as error:
        if kind.writes or isinstance(error, duckdb.Error):
            _break(context)
        if not isinstance(error, duckdb.Error):
            raise
        context.job.check()
        raise explain_error(error, written) from error


def _break(context: Context) -> None:
    """End an open transaction: duckdb cannot undo one statement of several."""
    if context.session.transaction.open:
        context.session.transaction.fail()


def _allow(context: Context, kind: _Kind, statement: exp.Expr) -> None:
    named = list(tables_of(statement))
    if kind.writes and not context.session.may_write:
        target = target_of(statement) or (named[0] if named else None)
        raise not_allowed("table", written_name(target) if target is not None else "ACCOUNT")
    if kind.needs_warehouse and named and not context.session.has_warehouse:
        raise no_warehouse()


def _targets(context: Context, kind: _Kind, statement: exp.Expr | None) -> Iterable[TableName]:
    """Yield the tables a statement changes, where duckdb keeps them."""
    if statement is None or not kind.writes:
        return
    if kind.ends_transaction and not kind.locks:
        # Schemas, views and stages: one at a time, as two at once would conflict in duckdb.
        yield _CATALOG
        return
    found = [target_of(statement)]
    if isinstance(statement, exp.TruncateTable):
        found = list(statement.expressions)
    elif isinstance(statement, exp.Drop):
        found = list(statement.args["tables"])
    for table in found:
        if table is not None and isinstance(table.this, exp.Identifier):
            yield context.session.stored(context.name_of(table))
