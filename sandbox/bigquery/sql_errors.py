"""DuckDB's complaints in BigQuery's words, with the place in the SQL that the client sent."""

import re
from collections.abc import Callable

import duckdb

from sandbox.bigquery.errors import ApiError, invalid_query, not_offered
from sandbox.bigquery.statements import position

Answer = Callable[[re.Match[str], str], ApiError]


def from_duckdb(error: duckdb.Error, sql: str) -> ApiError:
    """Return the error BigQuery would answer with; what is not known keeps DuckDB's first line."""
    text = str(error)
    for pattern, answer in _ANSWERS:
        match = pattern.search(text)
        if match is not None:
            return answer(match, sql)
    if isinstance(error, duckdb.OutOfMemoryException):
        return ApiError(
            400,
            "resourcesExceeded",
            "Resources exceeded during query execution: the stand-in's memory is used up.",
        )
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, (duckdb.ParserException, duckdb.NotImplementedException)):
        return not_offered(f"this statement cannot be run: {first}")
    return invalid_query(f"Query error: {first.split(': ', 1)[-1]}")


def _unrecognized(match: re.Match[str], sql: str) -> ApiError:
    name = _as_written(match["name"], sql)
    return invalid_query(f"Unrecognized name: {name}{position(sql, name)}")


def _no_function(match: re.Match[str], sql: str) -> ApiError:
    name = _as_written(match["name"], sql)
    return invalid_query(f"Function not found: {name}{position(sql, name)}")


def _bad_value(match: re.Match[str], sql: str) -> ApiError:
    return invalid_query(f"Bad {match['type'].lower()} value: {match['value']}")


def _refused(match: re.Match[str], sql: str) -> ApiError:
    return ApiError(403, "accessDenied", "Access Denied: this account may only read.")


def _as_written(name: str, sql: str) -> str:
    found = re.search(re.escape(name), sql, re.IGNORECASE)
    return found[0] if found else name


def _says(message: str) -> Answer:
    return lambda _match, _sql: invalid_query(message)


_ANSWERS: list[tuple[re.Pattern[str], Answer]] = [
    (re.compile(r'Referenced column "(?P<name>[^"]+)" not found'), _unrecognized),
    (re.compile(r'does not have a column named "(?P<name>[^"]+)"'), _unrecognized),
    (re.compile(r'Referenced table "(?P<name>[^"]+)" not found'), _unrecognized),
    (
        re.compile("exists in the spatial extension"),
        lambda _match, _sql: not_offered("GEOGRAPHY and its functions are not offered."),
    ),
    (re.compile(r'Function with name "?(?P<name>\w+)"? (?:does not exist|is not)'), _no_function),
    (re.compile(r"Could not convert string '(?P<value>[^']*)' to (?P<type>\w+)"), _bad_value),
    (re.compile(r'(?P<type>\w+) field value out of range: "(?P<value>[^"]*)"'), _bad_value),
    (re.compile(r"Division by zero", re.IGNORECASE), _says("division by zero")),
    (re.compile(r"Overflow in (?:addition|subtraction|multiplication)"), _says("int64 overflow")),
    (re.compile("read-only mode"), _refused),
    (
        re.compile("file system operations are disabled"),
        lambda _match, _sql: not_offered("files cannot be read or written."),
    ),
    (
        re.compile(r"NOT NULL constraint failed: [^.]*\.?(?P<name>\w+)$", re.MULTILINE),
        lambda match, _sql: invalid_query(f"Required field {match['name']} cannot be null"),
    ),
]
