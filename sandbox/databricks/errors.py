"""What Spark says about a failure, as a SQL warehouse would say it."""

import re

_STACK = re.compile(r"\n\s+at |\nCaused by: ")
# Spark's server puts its own exception, the condition and the class before the message itself.
_WRAPPING = re.compile(
    r"^(?:org\.apache\.hive\.[\w.]+: )?(?:Error running query: )?(?:\[[\w.]+\] (?=[\w.$]+: ))?"
    r"(?:(?:java|org|scala)\.[\w.$]+: )*"
)


def sentence(message: str | None) -> str:
    """Return the message alone: ``[CONDITION] text SQLSTATE: 12345; …``, without Java around it."""
    text = _STACK.split(message or "", maxsplit=1)[0].strip()
    return _WRAPPING.sub("", text).strip() or "Spark gave no reason."
