"""Signing in to Google, with no call to an address that has not been judged."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import CredentialsRejected
from connectors.network import CONNECT_TIMEOUT_S, Endpoint

# google-auth and grpc have no annotations that a strict check could use.
Account = Any
Session = Any
Storage = Any

SCOPE = "https://www.googleapis.com/auth/bigquery"
UNIVERSE = "googleapis.com"
NEEDED_IN_KEY = ("client_email", "private_key", "token_uri")
METADATA_SERVERS = frozenset(
    {Endpoint("metadata.google.internal", 80), Endpoint("169.254.169.254", 80)}
)
"""Where a machine of Google Cloud asks for its own token: link-local by nature."""
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def key_info(text: str) -> dict[str, str]:
    """A key file as a mapping; raises ValueError for anything but a service account's key.

    Not for ``external_account``: such a file names files, addresses and programs of the machine
    that uses it, and that is this one and not the team's.
    """
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON: paste the whole key file.") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise ValueError('This is not a service-account key: "type" must be "service_account".')
    missing = [name for name in NEEDED_IN_KEY if not isinstance(key.get(name), str)]
    if missing:
        raise ValueError(f"The key file lacks {', '.join(missing)}.")
    if key.get("universe_domain", UNIVERSE) != UNIVERSE:
        raise ValueError(f"Only keys of the universe {UNIVERSE} can be used.")
    return key


class TokenCalls:
    """google-auth's transport: it judges every address first, and follows no redirect."""

    def __init__(self, judge: Callable[[str], None]) -> None:
        import requests
        from google.auth.transport.requests import Request

        self.judge = judge
        self.session = requests.Session()
        # A redirect could lead past the network guard; the real endpoints never send one.
        self.session.max_redirects = 0
        self._call: Any = Request(self.session)

    def __call__(self, url: str, method: str = "GET", **more: Any) -> Any:
        self.judge(url)
        timeout_s = min(more.pop("timeout", None) or CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S)
        return self._call(url, method, timeout=timeout_s, **more)


def service_account(key: dict[str, str]) -> Account:
    """The account of a key; raises CredentialsRejected when its private key is broken."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from google.oauth2.service_account import Credentials

    maker: Any = Credentials
    try:
        return _alone(maker.from_service_account_info(key, scopes=[SCOPE]))
    except (ValueError, UnsupportedAlgorithm) as exc:
        fault = "The private key in it is broken."
        raise CredentialsRejected(fields={"service_account_json": fault}) from exc


def own_identity(calls: TokenCalls) -> Account:
    """The account of this machine, by Google's order: GOOGLE_APPLICATION_CREDENTIALS, gcloud's
    file, metadata server. Raises what google.auth.default raises."""
    import google.auth

    find: Any = google.auth.default
    account, _ = find(scopes=[SCOPE], request=calls)
    return _alone(account)


def _alone(account: Account) -> Account:
    """Off: it would send the token to another host, in a thread of its own."""
    account._maybe_start_regional_access_boundary_refresh = lambda *_: None
    return account


def http_session(account: Account, calls: TokenCalls) -> Session:
    """Sign in now, so that a refused key is a failed sign-in and not a failed query."""
    from google.auth.transport.requests import AuthorizedSession

    account.refresh(calls)
    maker: Any = AuthorizedSession
    session = maker(account, refresh_timeout=CONNECT_TIMEOUT_S, auth_request=calls)
    session.max_redirects = 0
    for scheme in ("https://", "http://"):
        session.mount(scheme, _judging(calls.judge))
    return session


def _judging(judge: Callable[[str], None]) -> Any:
    """An adapter that judges each new place first: an upload goes on where an answer says."""
    from requests.adapters import HTTPAdapter

    judged = set[tuple[str, str]]()

    class Judging(HTTPAdapter):
        def send(self, request: Any, *args: Any, **more: Any) -> Any:
            place = urlsplit(request.url)[:2]
            if place not in judged:
                judge(request.url)
                judged.add(place)
            return super().send(request, *args, **more)

    return Judging()


def storage_client(endpoint: Endpoint, account: Account, calls: TokenCalls) -> Storage:
    """A Storage Read API client; over plain text it sends no token."""
    import grpc
    from google.auth.transport.grpc import secure_authorized_channel
    from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
        BigQueryReadGrpcTransport,
    )

    target = f"{endpoint.host}:{endpoint.port}"
    if endpoint.tls:
        connect: Any = secure_authorized_channel
        channel = connect(account, calls, target, options=NO_LIMIT)
    else:
        channel = grpc.insecure_channel(target, options=NO_LIMIT)
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
