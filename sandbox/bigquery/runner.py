"""Runs resolved statements on the emulator: queries by its translator, the rest by its executor."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import DomainError
from bqemulator.domain.result import Err
from bqemulator.jobs.executor import (
    JOB_RESULTS,
    JOB_SCHEMAS,
    classify_statement_type,
    execute_query_job,
)
from bqemulator.row_access.identity import CallerIdentity
from bqemulator.sql.catalog_schema import build_catalog_schema
from bqemulator.sql.inner_query import refresh_dependent_mvs
from bqemulator.sql.rewriter.row_access_filter import rewrite_for_row_access
from bqemulator.sql.rewriter.unnest_offset import rewrite_unnest_offset
from bqemulator.sql.rewriter.wildcard_expander import expand_wildcard_tables
from bqemulator.sql.table_rewriter import rewrite_table_refs
from bqemulator.sql.translator import SQLTranslator
from bqemulator.versioning.time_travel import rewrite_for_system_time

from sandbox.bigquery.arrow_types import Field, check_names, in_bigquery_types, rest_field
from sandbox.bigquery.constants import Constant
from sandbox.bigquery.ddl import Tables
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.engine import Session
from sandbox.bigquery.errors import ApiError
from sandbox.bigquery.estimate import Estimate, estimate
from sandbox.bigquery.resolve import Resolved, Resolver, as_api_error
from sandbox.bigquery.settings import Account
from sandbox.bigquery.sizes import Ref, Sizes
from sandbox.bigquery.sql_errors import from_duckdb
from sandbox.bigquery.statements import Kind


@dataclass(frozen=True)
class Plan:
    """A statement that may run, who runs it, and what it will read."""

    resolved: Resolved
    account: Account
    estimate: Estimate

    def outline(self) -> "Outline":
        """Return what is worth keeping when the statement has run."""
        statement = self.resolved.statement
        kind = "SELECT" if statement.kind is Kind.QUERY else "SCRIPT"
        if statement.kind is Kind.WRITE:
            kind = str(classify_statement_type(statement.text))
        return Outline(kind, self.estimate, self.resolved.refs)


@dataclass(frozen=True)
class Outline:
    """What a statement is, what it reads and how much of it."""

    statement_type: str
    estimate: Estimate
    refs: list[Ref]


@dataclass(frozen=True)
class Result:
    """The rows of a finished statement with their REST schema; DML has a count instead."""

    table: pa.Table
    fields: list[Field]
    affected_rows: int | None = None
    ddl_operation: str | None = None


class Runner:
    """Plans and runs statements; safe to use from several threads."""

    def __init__(
        self, emulator: Emulator, resolver: Resolver, tables: Tables, sizes: Sizes, project: str
    ) -> None:
        self._emulator = emulator
        self._tables = tables
        self._resolver = resolver
        self._sizes = sizes
        self._project = project
        self._translator = SQLTranslator()

    def plan(
        self,
        sql: str,
        account: Account,
        parameters: Iterable[Mapping[str, Any]] = (),
        default_dataset: Mapping[str, str] | None = None,
    ) -> Plan:
        """Check a statement and estimate it; raise the ApiError that BigQuery would answer with."""
        try:
            resolved = self._resolver.resolve(sql, account, parameters, default_dataset)
            return Plan(resolved, account, estimate(resolved, self._sizes))
        except RecursionError as error:
            raise _too_complex() from error

    def open_session(self, plan: Plan) -> Session:
        """Open the connection that `run` will use, so that others can stop it."""
        return self._emulator.engine.open_session(plan.resolved.passing_tables)

    def fields(self, plan: Plan) -> list[Field]:
        """Return the schema a query would have, without running it; empty for anything else."""
        if plan.resolved.statement.kind is not Kind.QUERY:
            return []
        sql = self._translated(plan)
        with self._in_session(self.open_session(plan), plan) as session:
            try:
                relation = session.connection.sql(f"SELECT * FROM ({sql}) LIMIT 0")
                return _fields(relation, plan.resolved.constants)
            except duckdb.Error as error:
                raise from_duckdb(error, plan.resolved.statement.text) from error

    def run(self, plan: Plan, session: Session, job_id: str) -> Result:
        """Run a plan to its end.

        Raises ApiError when the statement fails, Stopped or an ApiError when it was stopped.
        """
        if plan.resolved.statement.kind is Kind.QUERY:
            return self._query(plan, session)
        if not plan.resolved.statement.may_write:
            with self._in_session(session, plan):
                return self._execute(plan, job_id)
        with self._in_session(session, plan), self._emulator.engine.writing(session):
            try:
                # The emulator itself only undoes: others would see what is not committed yet.
                is_one = plan.resolved.statement.is_one_transaction
                with session.transaction() if is_one else contextlib.nullcontext():
                    return self._execute(plan, job_id)
            finally:
                self._tables.record(plan.resolved.facts)
                self._sizes.forget()

    def _in_session(self, session: Session, plan: Plan) -> Any:
        read_only = not plan.resolved.statement.may_write
        return self._emulator.engine.session(session, read_only=read_only)

    def _query(self, plan: Plan, session: Session) -> Result:
        text = plan.resolved.statement.text
        if self._emulator.catalog.list_all_materialized_views():
            # Stale ones are written now; from then on the connection only reads.
            asyncio.run(refresh_dependent_mvs(self._project, text, self._emulator.context))
        sql = self._translated(plan)
        with self._in_session(session, plan):
            session.check()
            try:
                relation = session.connection.sql(sql)
                fields = _fields(relation, plan.resolved.constants)
                table = relation.to_arrow_table()
            except duckdb.Error as error:
                raise from_duckdb(error, text) from error
        for number, name in enumerate(table.column_names):
            if constant := plan.resolved.constants.get(name):
                table = table.set_column(number, name, constant.column(table.num_rows))
        return Result(in_bigquery_types(table, fields), fields)

    def _translated(self, plan: Plan) -> str:
        context = self._emulator.context
        caller = _caller(plan.account)
        sql = plan.resolved.sql()
        try:
            sql = rewrite_for_system_time(sql, self._project, context.snapshots, context.engine)
            sql = rewrite_for_row_access(
                sql, project_id=self._project, caller=caller, catalog=context.catalog
            )
            sql = expand_wildcard_tables(rewrite_unnest_offset(sql), self._project, context.catalog)
            schema = build_catalog_schema(sql, project_id=self._project, catalog=context.catalog)
            result = self._translator.translate(sql, schema=schema or None, caller=caller)
            if isinstance(result, Err):
                raise result.error
            return str(rewrite_table_refs(result.value, self._project))
        except DomainError as error:
            raise as_api_error(error) from error
        except RecursionError as error:
            raise _too_complex() from error

    def _execute(self, plan: Plan, job_id: str) -> Result:
        text = plan.resolved.statement.text
        try:
            done = asyncio.run(
                execute_query_job(
                    self._project,
                    job_id,
                    plan.resolved.sql(),
                    None,
                    self._emulator.context,
                    caller=_caller(plan.account),
                )
            )
        except DomainError as error:
            if isinstance(error.__cause__, duckdb.Error):
                raise from_duckdb(error.__cause__, text) from error
            raise as_api_error(error) from error
        table, fields = JOB_RESULTS.pop(job_id), list(JOB_SCHEMAS.pop(job_id, ()))
        statistics = done.statistics.get("query", {})
        affected = statistics.get("numDmlAffectedRows")
        return Result(
            in_bigquery_types(table, fields),
            fields,
            None if affected is None else int(affected),
            statistics.get("ddlOperationPerformed"),
        )


def _too_complex() -> ApiError:
    return ApiError(
        400,
        "resourcesExceeded",
        "Resources exceeded during query execution: Not enough resources for query planning - "
        "too many subqueries or query is too complex.",
    )


def _caller(account: Account) -> CallerIdentity:
    return CallerIdentity(principal=f"serviceAccount:{account.email}")


def _fields(relation: Any, constants: Mapping[str, Constant]) -> list[Field]:
    pairs = zip(relation.columns, relation.types, strict=True)
    fields = [
        constants[name].field(name) if name in constants else rest_field(name, kind)
        for name, kind in pairs
    ]
    check_names(fields)
    return fields
