"""The names a team has in the store, derived from its id, and the one quoter."""

import hashlib
import re
import uuid

SEATS = 256
"""Readers of the embedded engine. They are fixed when it starts, so teams are spread over them."""

RESULTS = "cached_result_"
"""What tables are called that hold the answers of warehouses; no query of a team reads them."""

VIEWS = "view_"
"""What tables are called that hold the answers of materialized views, and no others."""

_PLAIN = re.compile(r"[0-9a-z]{1,64}")


def quote(name: str) -> str:
    """An identifier of ClickHouse; a name that nobody gives a table or column is a ValueError."""
    if not name or "\x00" in name:
        raise ValueError("An identifier needs a character, and none of them may be NUL.")
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A string literal, for where ClickHouse takes no parameter."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def database(team_id: object) -> str:
    """The team's database; different for every team, the same for all time."""
    key = _key(team_id)
    return f"team_{_seat(key)}_{key}"


def result_table(result_id: uuid.UUID) -> str:
    """The table that holds an answer."""
    return RESULTS + result_id.hex


def view_table(view_id: uuid.UUID) -> str:
    """The table that holds what a view has answered."""
    return VIEWS + view_id.hex


def seat_reader(seat: int) -> str:
    """A user of the embedded engine."""
    return f"reader_{seat:02x}"


def seat_databases(seat: int) -> str:
    """The pattern, as GRANT takes it, of the databases that such a user reads."""
    return f"team_{seat:02x}_*"


def embedded_reader(team_id: object) -> str:
    """Who reads for a team in the embedded engine."""
    return f"reader_{_seat(_key(team_id))}"


def server_reader(team_id: object) -> str:
    """Who reads for a team in a real server: a user of its own."""
    return f"reader_{_key(team_id)}"


def _key(team_id: object) -> str:
    key = team_id.hex if isinstance(team_id, uuid.UUID) else str(team_id)
    # A host project's ids may be any text; what is no plain name is hashed, not changed in place.
    return key if _PLAIN.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()


def _seat(key: str) -> str:
    return f"{int(hashlib.sha256(key.encode()).hexdigest(), 16) % SEATS:02x}"
