"""Why a Postgres server let nobody in, from what it says: it gives libpq no code then.

The sentences are those of PostgreSQL's source (auth.c, hba.c, postinit.c, proc.c, guc.c and
libpq's fe-secure-openssl.c). A server that speaks another language than English is told from the
state of the connection only.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from connectors import errors
from connectors.errors import ConnectorError

if TYPE_CHECKING:
    import psycopg


class Refusal(NamedTuple):
    """What the server or libpq says, as a pattern, and what we say then."""

    said: str
    kind: type[ConnectorError]
    sentence: str
    hint: str
    field: str | None = None


REFUSALS = (
    Refusal(
        r"password authentication failed|no password supplied",
        errors.CredentialsRejected,
        "The server refused user and password.",
        "Check both; a password that was changed must be entered again.",
        "password",
    ),
    Refusal(
        r"requires a valid client certificate|alert certificate required",
        errors.CredentialsRejected,
        "The server asks for a client certificate.",
        "Enter certificate and key (sslcert, sslkey), and set sslmode to require at least.",
        "sslcert",
    ),
    Refusal(
        r"certificate authentication failed",
        errors.CredentialsRejected,
        "The client certificate is not this user's.",
        "The certificate's common name, or the server's map of users, must name the user.",
        "sslcert",
    ),
    Refusal(
        r"alert (unknown ca|decrypt error|(bad|unsupported) certificate|certificate \w+)",
        errors.CredentialsRejected,
        "The server does not trust the client certificate.",
        "It may have expired, or its authority may not be the server's ssl_ca_file.",
        "sslcert",
    ),
    Refusal(
        r'database "[^\n]*" (does not exist|is not currently accepting)|denied for database',
        errors.ResourceUnusable,
        "The database does not exist, or this user may not connect to it.",
        "Check the name; the owner can GRANT CONNECT ON DATABASE to the user.",
        "database",
    ),
    Refusal(
        r'role "[^\n]*" (does not exist|is not permitted to log in)',
        errors.CredentialsRejected,
        "The server knows no such user, or lets it not sign in.",
        "Check the name; a role needs LOGIN.",
        "user",
    ),
    Refusal(
        r"no pg_hba.conf entry|pg_hba.conf rejects",
        errors.CredentialsRejected,
        "The server lets this user not sign in from here, or not to this database or without TLS.",
        "Set sslmode to require; or its owner adds a rule for our address to pg_hba.conf.",
        "user",
    ),
    Refusal(
        r"too many c|connection slots",
        errors.WarehouseBusy,
        "The server has as many connections as it allows.",
        "Try again later, or raise the limit of the role or the server.",
    ),
    Refusal(
        r"the database system is",
        errors.WarehouseBusy,
        "The server is starting, stopping or recovering.",
        "Try again later.",
    ),
    Refusal(
        r"unrecognized configuration parameter|unsupported startup parameter",
        errors.ResourceUnusable,
        "The server does not take the settings of a read-only session.",
        "It must be Postgres 14 or later; a pooler in between must pass on `options`.",
        "host",
    ),
    Refusal(
        r"does not support SSL",
        errors.TlsFailed,
        "The server has no TLS.",
        "Set it up there, or choose another sslmode.",
        "sslmode",
    ),
    Refusal(
        r"does not match host name",
        errors.TlsFailed,
        "The server's certificate is for another host.",
        "Enter the host that the certificate names, or set sslmode to verify-ca.",
        "host",
    ),
    Refusal(
        r"SSL|[Cc]ertificate",
        errors.TlsFailed,
        errors.TlsFailed.message,
        errors.TlsFailed.hint,
    ),
    Refusal(
        r"closed the connection|Connection reset|terminating connection",
        errors.HostUnreachable,
        "The server hung up during the sign-in.",
        "Try again; if it repeats, see the server's log.",
    ),
)
"""The first that fits counts: with sslmode prefer, libpq tells of two attempts at once."""


def error_for(exc: "psycopg.OperationalError") -> ConnectorError:
    """Our error for a session that could not be opened, or that broke off without a word."""
    connection = exc.pgconn
    if connection is None:
        return errors.ConnectionLost()
    for refusal in REFUSALS:
        if re.search(refusal.said, str(exc)):
            fields = {refusal.field: refusal.sentence} if refusal.field else None
            return refusal.kind(refusal.sentence, hint=refusal.hint, fields=fields)
    if connection.used_password or connection.needs_password:
        return errors.CredentialsRejected("The server refused user, password or database name.")
    return errors.HostUnreachable()
