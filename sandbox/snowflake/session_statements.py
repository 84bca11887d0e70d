"""Statements about the session itself, most of which sqlglot cannot read."""

import re

import sqlglot
from sqlglot import TokenType

from sandbox.snowflake import results
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import SqlError, syntax, unsupported
from sandbox.snowflake.results import Result

_UNITS = {"SECONDS": 1.0, "MINUTES": 60.0, "HOURS": 3600.0, "MILLISECONDS": 0.001}


def begin(context: Context) -> Result:
    """Open a transaction."""
    context.session.transaction.begin()
    return results.done(results.TRANSACTION)


def commit(context: Context) -> Result:
    """Keep what the open transaction did."""
    context.session.transaction.commit()
    return results.done(results.TRANSACTION)


def rollback(context: Context) -> Result:
    """Undo what the open transaction did."""
    context.session.transaction.rollback()
    return results.done(results.TRANSACTION)


def alter_session(context: Context, action: str, rest: str) -> Result:
    """Set or unset parameters; turning autocommit on keeps what is open."""
    session = context.session
    if action.upper() == "UNSET":
        for name in re.split(r"[\s,]+", rest.strip("; \n\t")):
            session.parameters.unset(name)
    else:
        for name, value in _assignments(rest):
            session.parameters.set(name, value)
            if name.upper() == "AUTOCOMMIT":
                session.transaction.commit()
    return results.done()


def cancel_query(context: Context, query_id: str) -> Result:
    """Cancel another statement, of this session or any other."""
    column = [ResultColumn("SYSTEM$CANCEL_QUERY")]
    if not context.jobs.cancel(query_id):
        raise SqlError("000709", "02000", f"Statement {query_id} not found")
    return results.table_of(column, [[f"query [{query_id}] terminated."]], results.SELECT)


def wait(context: Context, amount: str, unit: str | None) -> Result:
    """Do nothing for a while, cancellable like any statement."""
    unit = (unit or "SECONDS").upper()
    if unit not in _UNITS:
        raise unsupported(f"SYSTEM$WAIT in {unit}")
    context.job.wait(float(amount) * _UNITS[unit])
    column = [ResultColumn("SYSTEM$WAIT")]
    return results.table_of(column, [[f"waited {amount} {unit.lower()}"]], results.SELECT)


def _assignments(text: str) -> list[tuple[str, str]]:
    """Split `NAME = value NAME = value`; raises SqlError for anything else."""
    tokens = [
        token
        for token in sqlglot.tokenize(text, read="snowflake")
        if token.token_type not in {TokenType.COMMA, TokenType.SEMICOLON}
    ]
    found = []
    while tokens:
        if len(tokens) < 3 or tokens[1].token_type != TokenType.EQ:
            raise syntax(tokens[0].text)
        name, value = tokens[0].text, tokens[2]
        sign = "-" if value.token_type == TokenType.DASH and len(tokens) > 3 else ""
        found.append((name, sign + tokens[3 if sign else 2].text))
        tokens = tokens[4 if sign else 3 :]
    return found
