"""A small client of this service's own REST API."""

from typing import Any

import requests

TIMEOUT_S = 120


class StepFailed(Exception):
    """The main job cannot go on; the message says why."""


class Api:
    """Calls of one team with one token; raises StepFailed with the problem's own words."""

    def __init__(self, base_url: str, team_id: str, token: str) -> None:
        self.team_id = team_id
        self.root = f"{base_url}/api/environments/{team_id}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        # The service is on this machine: a proxy of the user's environment is not asked.
        self._session.trust_env = False

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, json=body)

    def rows(self, connection_id: str, sql: str, params: list[Any] | None = None) -> list[Any]:
        """All rows of a query."""
        path = f"/warehouse_connections/{connection_id}/query/"
        answer = self.post(path, {"sql": sql, "params": params or []})
        if answer["error"]:
            raise StepFailed(answer["error"]["title"])
        rows: list[Any] = answer["rows"]
        return rows

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._session.request(method, self.root + path, timeout=TIMEOUT_S, **options)
        if not answer.ok:
            raise StepFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()
