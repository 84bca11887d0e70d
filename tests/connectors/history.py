"""What a warehouse itself says of the statements it was sent, asked by the vendor's own means."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from tests import vendors
from tests.vendors import Form


class Ran(NamedTuple):
    """One statement: its text, whether it is still under way, and what it was tagged with."""

    text: str
    running: bool
    tags: str

    def has(self, mark: str) -> bool:
        return mark in self.text or mark in self.tags


History = Callable[[], list[Ran]]
"""The latest statements of the form's user."""
Watch = Callable[[Form], AbstractContextManager[History]]


@contextmanager
def of_sessions(form: Form) -> Iterator[History]:
    """Postgres: the last statement of each session that is open now; tags are the session's."""
    with vendors.EXECUTING["postgres"]({"sslmode": "prefer", **form}) as run:
        yield lambda: [Ran(*row) for row in run(_SESSIONS)]


@contextmanager
def of_snowflake(form: Form) -> Iterator[History]:
    with vendors.EXECUTING["snowflake"](form) as run:
        yield lambda: [
            Ran(text or "", status in ("RUNNING", "QUEUED"), tag or "")
            for text, status, tag in run(_QUERY_HISTORY)
        ]


@contextmanager
def of_bigquery(form: Form) -> Iterator[History]:
    with vendors.bigquery(form) as client:

        def latest() -> list[Ran]:
            jobs = client.list_jobs(max_results=50, retry=None, timeout=10)
            return [Ran(job.query, job.state != "DONE", json.dumps(job.labels)) for job in jobs]

        yield latest


@contextmanager
def of_databricks(form: Form) -> Iterator[History]:
    secure = form.get("protocol", "https") == "https"
    host = f"{form['host']}:{form.get('port', 443)}"
    request = urllib.request.Request(
        f"{'https' if secure else 'http'}://{host}/api/2.0/sql/history/queries",
        headers={"Authorization": f"Bearer {form['token']}"},
    )

    def latest() -> list[Ran]:
        with urllib.request.urlopen(request, timeout=10) as answer:
            entries: list[dict[str, Any]] = json.load(answer)["res"]
        return [
            Ran(
                entry["query_text"],
                entry["status"] in ("QUEUED", "RUNNING"),
                json.dumps(entry.get("query_tags")),
            )
            for entry in entries
        ]

    yield latest


_SESSIONS = """
SELECT query, state <> 'idle', application_name FROM pg_stat_activity
WHERE usename = current_user AND pid <> pg_backend_pid()
"""
_QUERY_HISTORY = """
SELECT query_text, execution_status, query_tag
FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(RESULT_LIMIT => 100))
"""
