"""duckdb's errors in Snowflake's codes, states and, where it can be told, sentences."""

import re
from collections.abc import Callable, Sequence

import duckdb

from sandbox.snowflake.errors import (
    SqlError,
    already_there,
    compilation,
    invalid_identifier,
    missing,
    unsupported,
)

_Maker = Callable[[re.Match[str]], SqlError]


def explain_error(error: duckdb.Error, written: Sequence[str] = ()) -> SqlError:
    """Return what Snowflake would say; `written` are the tables as the user named them."""
    text = str(error)
    for pattern, make in _PATTERNS:
        if found := pattern.search(text):
            return _named_in_full(make(found), written)
    if isinstance(error, duckdb.TransactionException):
        return SqlError(
            "000625",
            "57014",
            "Another transaction changed the same rows or objects; the statement was aborted.",
        )
    first_line = text.split("\n", 1)[0].partition(": ")[2] or text
    return unsupported(f"this statement, which the stand-in's engine refused: {first_line}")


def _named_in_full(error: SqlError, written: Sequence[str]) -> SqlError:
    """Return the error with a missing table's name as the user wrote it."""
    found = re.search(r"Object '([^']+)' does not exist", error.message)
    wanted = found[1].rpartition(".")[2].upper() if found else None
    for name in written:
        if name.rpartition(".")[2].upper() == wanted:
            return missing("Object", name)
    return error


def _pattern(text: str, make: _Maker) -> tuple[re.Pattern[str], _Maker]:
    return re.compile(text, re.S), make


def _data(code: str, state: str, sentence: str) -> _Maker:
    return lambda found: SqlError(code, state, sentence.format(*found.groups()))


def _compile(code: str, state: str, sentence: str) -> _Maker:
    return lambda found: compilation(code, state, sentence.format(*found.groups()))


_PATTERNS = [
    _pattern(r"Division by zero", _data("100051", "22012", "Division by zero")),
    _pattern(
        r'Table with name "?([^"\s]+)"? does not exist because schema "?([^"\s]+)"? does not',
        lambda found: missing("Object", found[1]),
    ),
    _pattern(
        r"(?:Table|View) with name \"?(.+?)\"? does not exist!",
        lambda found: missing("Object", found[1]),
    ),
    _pattern(
        r'Schema with name "?(.+?)"? does not exist!', lambda found: missing("Schema", found[1])
    ),
    _pattern(
        r'(?:Table|View|Schema) with name "?(.+?)"? already exists',
        lambda found: already_there(found[1]),
    ),
    _pattern(
        r"(?:Scalar|Aggregate|Table|Window)?\s?(?:Function|Macro) with name \"?(\w+)\"? does not",
        lambda found: compilation("002140", "42601", f"Unknown function {found[1].upper()}"),
    ),
    _pattern(r'Referenced column "(.+?)" not found', lambda found: invalid_identifier(found[1])),
    _pattern(
        r'(?:[Tt]able|Values list) "(.+?)" does not have a column (?:named|with name) "(.+?)"',
        lambda found: invalid_identifier(f"{found[1]}.{found[2]}"),
    ),
    _pattern(r'Referenced table "(.+?)" not found', lambda found: invalid_identifier(found[1])),
    _pattern(
        r'Ambiguous reference to column name "(.+?)"',
        _compile("002028", "42601", "ambiguous column name '{0}'"),
    ),
    _pattern(
        r'column "(.+?)" must appear in the GROUP BY',
        _compile("000979", "42601", "[{0}] is not a valid group by expression"),
    ),
    _pattern(
        r"has (\d+) columns but (\d+) values were supplied",
        _compile(
            "002020",
            "21S01",
            "Insert value list does not match column list expecting {0} but got {1}",
        ),
    ),
    _pattern(
        r"Column name/value mismatch for insert on .*?: expected (\d+) columns but (\d+) values",
        _compile(
            "002020",
            "21S01",
            "Insert value list does not match column list expecting {0} but got {1}",
        ),
    ),
    _pattern(
        r"NOT NULL constraint failed: (?:.*\.)?(\w+)",
        _data("100072", "22000", "NULL result in a non-nullable column"),
    ),
    _pattern(
        r"cannot affect the same target row more than once",
        _data("100090", "42P18", "Duplicate row detected during DML action"),
    ),
    _pattern(
        r"Malformed JSON at byte \d+ of input: (.*?)\s+Input",
        _data("100069", "22P02", "Error parsing JSON: {0}"),
    ),
    _pattern(
        r"Could not cast value (\S+) to DECIMAL",
        _data("100039", "22003", "Numeric value '{0}' is out of range"),
    ),
    _pattern(
        r'Could not convert string ["\'](.*?)["\'] to BOOL',
        _data("100037", "22018", "Boolean value '{0}' is not recognized"),
    ),
    _pattern(
        r'Could not convert string ["\'](.*?)["\'] to',
        _data("100038", "22018", "Numeric value '{0}' is not recognized"),
    ),
    _pattern(
        r'(?:invalid date field format|date field value out of range): "(.*?)"',
        _data("100040", "22007", "Date '{0}' is not recognized"),
    ),
    _pattern(
        r'(?:invalid timestamp field format|timestamp field value out of range): "(.*?)"',
        _data("100035", "22007", "Timestamp '{0}' is not recognized"),
    ),
    _pattern(
        r'(?:invalid time field format|time field value out of range): "(.*?)"',
        _data("100108", "22007", "Time '{0}' is not recognized"),
    ),
    _pattern(
        r"Invalid input for hex digit",
        _data("100115", "22000", "The following string is not a legal hex-encoded value"),
    ),
    _pattern(
        r"(?:out of range|[Oo]verflow)",
        _data("100046", "22003", "Number out of representable range"),
    ),
    _pattern(
        r"(?:No magic bytes|not a Parquet file|file is too small to be a Parquet)",
        _data("100080", "22000", "The file is not a Parquet file"),
    ),
    _pattern(
        r"(?:Could not choose a best candidate|No function matches)[^']*[\"'](.+?)\((.*?)\)[\"']",
        _compile("001044", "42P13", "Invalid argument types for function '{0}': ({1})"),
    ),
    _pattern(
        r"Values were not provided for the following parameters: (\S+)",
        _compile("002049", "42601", "Bind variable {0} not set."),
    ),
    _pattern(r"Parser Error: (.*?)\n", _compile("001003", "42000", "{0}")),
    _pattern(
        r"Out of Memory",
        _data("300005", "XX000", "The stand-in has not enough memory for this statement"),
    ),
]
