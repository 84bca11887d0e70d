"""What in a query's text an error of its warehouse is about.

A warehouse says more than may be shown to a caller. Of its words only a name is told that the query
itself has, in the query's own spelling.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import ObjectNotFound, QueryError, SqlInvalid
from connectors.types import Params

PART = r"(?:\"[^\"]+\"|'[^']+'|`[^`]+`|[\w$-]+)"
NAMED = re.compile(
    r"\b(?:relation|column|schema|table|view|object|dataset|identifier|name) +"
    rf"(?P<name>{PART}(?:[.:]{PART})*)",
    re.IGNORECASE,
)
"""How warehouses say what they have not found."""
SEPARATORS = re.compile(r"[\"'`.:]+")


@contextmanager
def told(sql: str, params: Params, placeholder: str) -> Iterator[None]:
    """An error raised inside names what the query has and its warehouse does not.

    ``placeholder`` is a pattern of them: one that is left in the text may be what is wrong.
    """
    try:
        yield
    except (ObjectNotFound, SqlInvalid) as exc:
        found = re.search(placeholder, sql) if placeholder and not params else None
        if found:
            hint = f"Is {found[0]} a placeholder? Then give its value in params."
            raise type(exc)(exc.detail, hint=hint, fields=exc.fields) from exc.__cause__
        raise _naming(exc, sql) from exc.__cause__


def _naming(error: QueryError, sql: str) -> QueryError:
    name = _name(str(error.__cause__), sql) if isinstance(error, ObjectNotFound) else None
    if name is None:
        return error
    return ObjectNotFound(f"There is no {name}, or this role may not see it.", fields={"sql": name})


def _name(said: str, sql: str) -> str | None:
    """What is not there: as much of the end of a name in what was said as the query has."""
    for match in NAMED.finditer(said):
        parts = [part for part in SEPARATORS.split(match["name"]) if part]
        # One that has no marks may be a word of the sentence.
        for start in range(len(parts)) if SEPARATORS.search(match["name"]) else ():
            between = r"[\"`]?\.[\"`]?".join(map(re.escape, parts[start:]))
            if written := re.search(rf"(?<!\w){between}(?!\w)", sql, re.IGNORECASE):
                return re.sub(r"[\"`]", "", written[0])
    return None
