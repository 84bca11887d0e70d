"""Session parameters: known by name, checked, and refused where this stand-in cannot obey."""

from typing import Any

from sandbox.snowflake.errors import SqlError, unsupported

# Name: default, and the only values that do here what they do in Snowflake (None: all do).
_KNOWN: dict[str, tuple[str, frozenset[str] | None]] = {
    "ABORT_DETACHED_QUERY": ("false", None),
    "AUTOCOMMIT": ("true", frozenset({"true", "false"})),
    "BINARY_OUTPUT_FORMAT": ("HEX", None),
    "DATE_OUTPUT_FORMAT": ("YYYY-MM-DD", None),
    "ERROR_ON_NONDETERMINISTIC_MERGE": ("true", frozenset({"true"})),
    "JSON_INDENT": ("0", frozenset({"0"})),
    "LOCK_TIMEOUT": ("43200", None),
    "MULTI_STATEMENT_COUNT": ("1", frozenset({"1"})),
    "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": ("ARROW", frozenset({"ARROW", "ARROW_FORCE"})),
    "QUERY_TAG": ("", None),
    "QUOTED_IDENTIFIERS_IGNORE_CASE": ("false", frozenset({"false"})),
    "ROWS_PER_RESULTSET": ("0", None),
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": ("0", None),
    "STATEMENT_TIMEOUT_IN_SECONDS": ("172800", None),
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": ("", None),
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": ("YYYY-MM-DD HH24:MI:SS.FF3", None),
    "TIMESTAMP_OUTPUT_FORMAT": ("YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM", None),
    "TIMESTAMP_TYPE_MAPPING": ("TIMESTAMP_NTZ", frozenset({"TIMESTAMP_NTZ"})),
    "TIMESTAMP_TZ_OUTPUT_FORMAT": ("", None),
    "TIMEZONE": ("Etc/UTC", frozenset({"Etc/UTC", "UTC"})),
    "TIME_OUTPUT_FORMAT": ("HH24:MI:SS", None),
    "USE_CACHED_RESULT": ("true", None),
}
_NUMBERS = {
    "LOCK_TIMEOUT",
    "ROWS_PER_RESULTSET",
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS",
    "STATEMENT_TIMEOUT_IN_SECONDS",
}


class Parameters:
    """What one session has set."""

    def __init__(self) -> None:
        """Begin with Snowflake's defaults."""
        self._set: dict[str, str] = {}

    def set(self, name: str, value: Any) -> None:
        """Set a parameter; raises SqlError for an unknown name or a value not obeyed here."""
        name = name.upper()
        text = str(value).lower() if isinstance(value, bool) else str(value)
        _, obeyed = self._known(name)
        if obeyed is not None and text.lower() not in {one.lower() for one in obeyed}:
            raise unsupported(f"{name} = {text}")
        if name in _NUMBERS and not text.isdigit():
            raise SqlError(
                "001008",
                "22023",
                f"SQL compilation error:\ninvalid value [{text}] for parameter '{name}'",
            )
        if name == "QUERY_TAG" and len(text) > 2000:
            raise SqlError(
                "001008", "22023", "SQL compilation error:\ninvalid value for parameter 'QUERY_TAG'"
            )
        self._set[name] = text

    def unset(self, name: str) -> None:
        """Go back to the default."""
        self._known(name.upper())
        self._set.pop(name.upper(), None)

    def text(self, name: str) -> str:
        """Return a value, its default if not set."""
        return self._set.get(name, _KNOWN[name][0] if name in _KNOWN else "")

    def number(self, name: str) -> int:
        """Return a whole number's value."""
        return int(self.text(name))

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return self.text(name).lower() == "true"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """List key, value, default and level, as SHOW PARAMETERS does."""
        return [
            (name, self.text(name), default, "SESSION" if name in self._set else "")
            for name, (default, _) in sorted(_KNOWN.items())
        ]

    @staticmethod
    def _known(name: str) -> tuple[str, frozenset[str] | None]:
        # The client keeps its own settings here; they mean nothing to a server.
        if name.startswith("CLIENT_"):
            return "", None
        if name not in _KNOWN:
            raise SqlError("001420", "22023", f"SQL compilation error:\ninvalid parameter '{name}'")
        return _KNOWN[name]
