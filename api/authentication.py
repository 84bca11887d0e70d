"""Tokens of the stand-alone service; a host project may bring its own authentication."""

from typing import Any

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]
    """Knox's hashed tokens, sent as ``Authorization: Bearer <token>``."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # Knox decodes before it looks, and a token that is not text would be a crash.
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    target_class = "api.authentication.TokenAuthentication"
    name = "token"
