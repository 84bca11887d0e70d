"""COPY INTO's options: known, checked, and refused where this stand-in cannot obey."""

import re
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from sandbox.snowflake.errors import compilation, unsupported
from sandbox.snowflake.stages import option_value, options_of

# Options that may be named with the value they have anyway.
_FIXED = {
    "ENFORCE_LENGTH": True,
    "LOAD_UNCERTAIN_FILES": False,
    "PURGE": False,
    "RETURN_FAILED_ONLY": False,
    "TRUNCATECOLUMNS": False,
}
_MATCHES = {"NONE", "CASE_SENSITIVE", "CASE_INSENSITIVE"}
_PARQUET = {
    "TYPE",
    "USE_VECTORIZED_SCANNER",
    "USE_LOGICAL_TYPE",
    "BINARY_AS_TEXT",
    "COMPRESSION",
    "TRIM_SPACE",
    "SNAPPY_COMPRESSION",
}


@dataclass(frozen=True)
class CopyOptions:
    """What one COPY INTO asks for."""

    file_format: dict[str, Any]
    files: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    force: bool = False
    size_limit: int | None = None
    match: str = "NONE"

    @property
    def kind(self) -> str:
        """The file format's type."""
        return str(self.file_format.get("TYPE", "CSV")).upper()

    @property
    def binary_as_text(self) -> bool:
        """Whether Parquet's plain bytes are read as text, as Snowflake's older scanner does."""
        vectorized = self.file_format.get("USE_VECTORIZED_SCANNER", False)
        return not vectorized and bool(self.file_format.get("BINARY_AS_TEXT", True))


def read_options(statement: exp.Copy, stage_format: dict[str, Any]) -> CopyOptions:
    """Return a COPY's options; raises SqlError for one that is unknown or not obeyed here."""
    given: dict[str, Any] = {}
    file_format = dict(stage_format)
    for parameter in statement.args.get("params") or []:
        name = parameter.this.name.upper()
        if name == "FILE_FORMAT":
            file_format |= options_of(parameter.expressions)
        else:
            given[name] = option_value(parameter.expression)
    options = CopyOptions(
        file_format=file_format,
        files=_names(given.pop("FILES", [])),
        pattern=_pattern(given.pop("PATTERN", None)),
        force=bool(given.pop("FORCE", False)),
        size_limit=given.pop("SIZE_LIMIT", None),
        match=str(given.pop("MATCH_BY_COLUMN_NAME", "NONE")).upper(),
    )
    _check(options, given)
    return options


def _check(options: CopyOptions, rest: dict[str, Any]) -> None:
    if str(rest.pop("ON_ERROR", "ABORT_STATEMENT")).upper() != "ABORT_STATEMENT":
        raise unsupported("ON_ERROR other than ABORT_STATEMENT")
    for name, value in rest.items():
        if name not in _FIXED or _FIXED[name] != value:
            raise unsupported(f"COPY option {name} = {value}")
    if options.match not in _MATCHES:
        raise compilation(
            "001008", "22023", f"Invalid value '{options.match}' for parameter MATCH_BY_COLUMN_NAME"
        )
    if "FORMAT_NAME" in options.file_format:
        raise unsupported("named file formats")
    if options.kind == "PARQUET":
        unknown = set(options.file_format) - _PARQUET
        if unknown:
            raise unsupported(f"FILE_FORMAT option {sorted(unknown)[0]}")
    elif options.kind not in {"CSV", "JSON"}:
        raise unsupported(f"file format {options.kind}")
    if options.match != "NONE" and options.kind != "PARQUET":
        raise unsupported(f"MATCH_BY_COLUMN_NAME with {options.kind}")


def _names(value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if len(names) > 1000:
        raise compilation("001007", "22023", "FILES names more than 1000 files.")
    return tuple(map(str, names))


def _pattern(value: Any) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(str(value))
    except re.error as error:
        raise compilation("001008", "22023", f"Invalid value for PATTERN: {error}") from error
