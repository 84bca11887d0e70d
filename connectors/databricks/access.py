"""What a Databricks connection may use: its SQL warehouse, its catalog and its schema."""

import re

from connectors.databricks import errors as databricks_errors
from connectors.errors import ObjectNotFound, PermissionDenied, ResourceUnusable

KINDS = {"http_path": "SQL warehouse", "catalog": "catalog", "schema": "schema"}
GRANTED = {"http_path": "Can use", "catalog": "USE CATALOG", "schema": "USE SCHEMA"}
QUOTED = re.compile(r"'[^']*'|`[^`]*`")
SCHEMA = re.compile(r"schema|database", re.IGNORECASE)


def unusable(field: str) -> ResourceUnusable:
    """The error for a field of the form that names what is not there, or may not be used."""
    kind = KINDS[field]
    return ResourceUnusable(
        f"The {kind} of this connection does not exist, or may not be used.",
        hint=f"Check its name, and that {GRANTED[field]} on it is granted to this principal.",
        fields={field: f"Names no {kind} that this connection may use."},
    )


def refused(exc: Exception, *, has_token: bool) -> ResourceUnusable | None:
    """What a session could not be opened in; ``None`` where it failed for another reason.

    ``has_token``: a token has just been granted, so that it is not what is refused with 403.
    """
    code = databricks_errors.http_code(exc)
    if code in (400, 404) or (code == 403 and has_token):
        return unusable("http_path")
    message = getattr(exc, "message", None)
    if databricks_errors.by_text(message) in (ObjectNotFound, PermissionDenied):
        # Names may have these words in them.
        return unusable("schema" if SCHEMA.search(QUOTED.sub("", message or "")) else "catalog")
    error = databricks_errors.error_for(exc, is_open=False)
    return unusable("http_path") if isinstance(error, ResourceUnusable) else None
