"""Settings, all from the environment, and the two connections that are opened from them."""

import base64
import binascii
import os

import psycopg
import redis

from sandbox.datavault.errors import BadSetting

HELP = {
    "DATAVAULT_REDIS_URL": "where the stream is, as redis://host:port/0",
    "DATAVAULT_DATABASE_URL": "where records are stored, as postgresql://user@host:port/database",
    "DATAVAULT_KEY": "the encryption key, 32 random bytes in base64",
    "DATAVAULT_TOKEN": "the token that callers of Retrieve present, printable ASCII",
    "DATAVAULT_GRPC_ADDRESS": "where Retrieve is served, as host:port (default 127.0.0.1:50051)",
}
DEFAULTS = {"DATAVAULT_GRPC_ADDRESS": "127.0.0.1:50051"}


def setting(name: str) -> str:
    """Return the value of one of `HELP`'s variables; raise BadSetting when it is not set."""
    value = os.environ.get(name, "").strip() or DEFAULTS.get(name)
    if value is None:
        raise BadSetting(f"Set {name}: {HELP[name]}.")
    return value


def encryption_key() -> bytes:
    """Return the 32 bytes of DATAVAULT_KEY; raise BadSetting when they are anything else."""
    try:
        key = base64.b64decode(setting("DATAVAULT_KEY"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise BadSetting(f"DATAVAULT_KEY cannot be used. It must be {HELP['DATAVAULT_KEY']}.")
    return key


def access_token() -> str:
    """Return DATAVAULT_TOKEN; raise BadSetting when gRPC metadata could not carry it."""
    token = setting("DATAVAULT_TOKEN")
    if not (token.isascii() and token.isprintable()):
        raise BadSetting(f"DATAVAULT_TOKEN cannot be used. It must be {HELP['DATAVAULT_TOKEN']}.")
    return token


def connect_redis(url: str) -> redis.Redis:
    """Return a client for `url`; it connects at its first command."""
    try:
        return redis.Redis.from_url(url)
    except ValueError:
        # The driver's text quotes parts of the URL, which may be parts of a password.
        raise BadSetting(
            f"DATAVAULT_REDIS_URL is no Redis URL. Set it to {HELP['DATAVAULT_REDIS_URL']}."
        ) from None


def check_database_url(url: str) -> str:
    """Return `url` when libpq can read it; raise BadSetting otherwise."""
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise BadSetting(
            "DATAVAULT_DATABASE_URL is no Postgres URL. "
            f"Set it to {HELP['DATAVAULT_DATABASE_URL']}."
        ) from None
    return url
