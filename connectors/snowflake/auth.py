"""How a form signs in to Snowflake: what the client is to be given, and what was at fault."""

from typing import TYPE_CHECKING, Any

from connectors.errors import CredentialsRejected

if TYPE_CHECKING:
    from pydantic import SecretStr

TOKENS = {"oauth_token": "OAUTH", "access_token": "PROGRAMMATIC_ACCESS_TOKEN"}
"""Fields that hold a token, and what the client calls that way to sign in."""
HINTS = {
    "password": "Check user and password. Where Snowflake asks for a second factor, use a key "
    "pair or a programmatic access token.",
    "private_key": "Check the user, and that RSA_PUBLIC_KEY of that user is the other half.",
    "oauth_token": "It may have expired: enter a new one.",
    "access_token": "It may have expired or been revoked: enter a new one.",
}


def arguments(way: str, secret: "SecretStr", phrase: "SecretStr | None") -> dict[str, Any]:
    """What the client needs besides the user; ``way`` is the field that holds the secret.

    Raises CredentialsRejected for a key that cannot be read.
    """
    value = secret.get_secret_value()
    if way == "password":
        return {"password": value}
    if way in TOKENS:
        return {"authenticator": TOKENS[way], "token": value}
    given = phrase.get_secret_value() if phrase else None
    return {"authenticator": "SNOWFLAKE_JWT", "private_key": _der(value, given)}


def rejected(way: str) -> CredentialsRejected:
    """Snowflake knows no such user, or not with this secret; it does not say which."""
    sentence = "Snowflake did not accept it for this user."
    return CredentialsRejected(hint=HINTS[way], fields={way: sentence})


def _der(pem: str, phrase: str | None) -> bytes:
    """The key in the form the client wants: DER, PKCS#8, unencrypted, in memory only."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        key = serialization.load_pem_private_key(
            pem.encode(), password=phrase.encode() if phrase else None
        )
    except (ValueError, TypeError) as exc:
        raise _unreadable(pem, phrase) from exc
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsRejected(fields={"private_key": "Snowflake takes RSA keys here."})
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _unreadable(pem: str, phrase: str | None) -> CredentialsRejected:
    encrypted = "ENCRYPTED" in pem
    if encrypted and phrase is None:
        fields = {"private_key_passphrase": "The key is encrypted: give its passphrase."}
    elif encrypted:
        fields = {"private_key_passphrase": "It does not open the key."}
    elif phrase is not None:
        fields = {"private_key_passphrase": "The key is not encrypted: leave this out."}
    else:
        fields = {"private_key": "It cannot be read as a PEM private key."}
    return CredentialsRejected("The private key or its passphrase is wrong.", fields=fields)
