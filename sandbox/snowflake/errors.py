"""Snowflake's own error codes and sentences."""

from sqlglot.errors import ParseError


class SqlError(Exception):
    """A statement was refused or failed; a client sees code, SQL state and message."""

    def __init__(self, code: str, sqlstate: str, message: str) -> None:
        """Keep Snowflake's six-digit code, the five-digit state and the sentence."""
        super().__init__(message)
        self.code = code
        self.sqlstate = sqlstate
        self.message = message


class LoginRefused(Exception):
    """Nobody was signed in; a client sees code and message."""

    def __init__(self, code: str, message: str) -> None:
        """Keep Snowflake's code and sentence."""
        super().__init__(message)
        self.code = code
        self.message = message


def compilation(code: str, sqlstate: str, sentence: str) -> SqlError:
    """Return an error found before anything ran."""
    return SqlError(code, sqlstate, f"SQL compilation error:\n{sentence}")


def unsupported(what: str) -> SqlError:
    """Refuse what this stand-in, or Snowflake itself, does not do."""
    return SqlError("000002", "0A000", f"Unsupported feature '{what}'.")


def missing(kind: str, name: str) -> SqlError:
    """Say that an object is not there; tables and views share Snowflake's word 'Object'."""
    state = "42S02" if kind in {"Object", "Table", "View"} else "02000"
    return compilation("002003", state, f"{kind} '{name}' does not exist or not authorized.")


def not_there() -> SqlError:
    """Say that the object of a USE, SHOW or DESCRIBE is not there."""
    return compilation(
        "002043", "02000", "Object does not exist, or operation cannot be performed."
    )


def already_there(name: str) -> SqlError:
    """Say that an object of this name exists."""
    return compilation("002002", "42710", f"Object '{name}' already exists.")


def invalid_identifier(name: str) -> SqlError:
    """Say that no column answers to this name."""
    return SqlError(
        "000904",
        "42000",
        f"SQL compilation error: error line 1 at position 0\ninvalid identifier '{name}'",
    )


def syntax(text: str, error: ParseError | None = None) -> SqlError:
    """Say where a statement stops making sense."""
    found = error.errors[0] if error is not None and error.errors else {}
    words = text.split()
    unexpected = found.get("highlight") or (words[0] if words else "<EOF>")
    line, position = found.get("line") or 1, max(int(found.get("col") or 1) - 1, 0)
    return compilation(
        "001003",
        "42000",
        f"syntax error line {line} at position {position} unexpected '{unexpected}'.",
    )


def statement_count(found: int) -> SqlError:
    """Refuse several statements in one text."""
    return SqlError(
        "000008",
        "0A000",
        f"Actual statement count {found} did not match the desired statement count 1.",
    )


def not_allowed(kind: str, name: str) -> SqlError:
    """Refuse a write to a role that may only read."""
    return SqlError(
        "003001",
        "42501",
        f"SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'.",
    )


def canceled() -> SqlError:
    """Say that somebody cancelled the statement."""
    return SqlError("000604", "57014", "SQL execution canceled")


def timed_out(seconds: float) -> SqlError:
    """Say that STATEMENT_TIMEOUT_IN_SECONDS ended the statement."""
    return SqlError(
        "000630",
        "57014",
        f"Statement reached its statement or warehouse timeout of {seconds:g} second(s) and was "
        "canceled.",
    )


def no_warehouse() -> SqlError:
    """Refuse to read or write tables without a warehouse."""
    return SqlError(
        "000606",
        "57P03",
        "No active warehouse selected in the current session.  Select an active warehouse with "
        "the 'use warehouse' command.\n",
    )


def no_current(kind: str, command: str) -> SqlError:
    """Say that the session has no current database or schema."""
    return SqlError(
        "090105" if kind == "database" else "090106",
        "22000",
        f"Cannot perform {command}. This session does not have a current {kind}. "
        f"Call 'USE {kind.upper()}', or use a qualified name.",
    )


def lock_timeout(table: str, seconds: float) -> SqlError:
    """Say that another transaction held a table for too long."""
    return SqlError(
        "000625",
        "57014",
        f"Another transaction has locked table '{table}' and has not released it within "
        f"{seconds:g} second(s). The statement was aborted.",
    )


def deadlock(table: str) -> SqlError:
    """Say that waiting for a table would never end."""
    return SqlError(
        "000625",
        "57014",
        f"Another transaction has locked table '{table}' and waits for this one. "
        "The statement was aborted to end the deadlock.",
    )


def wrong_type(column: str, expected: str, found: str) -> SqlError:
    """Say that a column does not take values of a type without a cast."""
    return compilation(
        "002023",
        "22000",
        f"Expression type does not match column data type, expecting {expected} but got {found} "
        f"for column {column}",
    )
