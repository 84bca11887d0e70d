"""Signing in to Databricks: the header of each request, and the tokens of a service principal."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr

from connectors import errors
from connectors.network import CONNECT_TIMEOUT_S

SCOPE = "all-apis"
TOKEN_PATH = "/oidc/v1/token"  # noqa: S105 a path, not a secret
EARLY_S = 60.0
"""A token is renewed this long before it ends, or at half of a shorter life."""

Headers = dict[str, str]


class Secrets(Protocol):
    """The part of the form that signs in: either a token, or a client's id and secret."""

    token: SecretStr | None
    client_id: str | None
    client_secret: SecretStr | None


class CredentialsProvider:
    """A credentials provider as the client takes it: called once, it gives what makes headers.

    A service principal's tokens are got when they are needed and renewed before they end.
    """

    def __init__(self, form: Secrets, url: str) -> None:
        self._form = form
        self._url = url + TOKEN_PATH
        self._granted = ""
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> Callable[[], Headers]:
        return self.headers

    def headers(self) -> Headers:
        """The header of a request; raises CredentialsRejected, or what hinders the sign-in."""
        # The client would keep a header of the usual spelling for an hour, and offer some tokens
        # for exchange at an address of its own; it passes this one on as it is.
        return {"authorization": f"Bearer {self._token()}"}

    def _token(self) -> str:
        if self._form.token is not None:
            return self._form.token.get_secret_value()
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self._granted, lifetime_s = self._grant()
                self._renew_at = time.monotonic() + max(lifetime_s - EARLY_S, lifetime_s / 2)
            return self._granted

    def _grant(self) -> tuple[str, float]:
        """A new token of the service principal, and the seconds it is good for."""
        import requests

        secret = self._form.client_secret
        answer = requests.post(
            self._url,
            data={"grant_type": "client_credentials", "scope": SCOPE},
            auth=(self._form.client_id or "", secret.get_secret_value() if secret else ""),
            timeout=CONNECT_TIMEOUT_S,
            # A redirect could lead past the network guard.
            allow_redirects=False,
        )
        if answer.status_code in (400, 401, 403):
            raise rejected(self._form)
        if answer.status_code in (429, 503):
            raise errors.WarehouseBusy()
        try:
            granted = answer.json()
            return str(granted["access_token"]), float(granted["expires_in"])
        except (ValueError, KeyError, TypeError) as exc:
            raise errors.ConnectError("That address does not answer as Databricks does.") from exc


def rejected(form: Secrets) -> errors.CredentialsRejected:
    """The refusal of these secrets, with the fields at fault."""
    if form.token is not None:
        return errors.CredentialsRejected(
            "Databricks refused the access token.",
            hint="It may have ended or been revoked, or it may not use this SQL warehouse.",
            fields={"token": "Databricks refused this token."},
        )
    fault = "Databricks refused this client ID with this secret."
    return errors.CredentialsRejected(
        "Databricks refused the client ID or its secret.",
        hint="The secret may have ended; make another for the service principal.",
        fields={"client_id": fault, "client_secret": fault},
    )
