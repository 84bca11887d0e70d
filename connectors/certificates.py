"""Certificates for clients that read them from files only."""

import os
from contextlib import ExitStack
from tempfile import mkstemp

VERIFYING = frozenset({"verify-ca", "verify-full"})
"""The ``sslmode``s of libpq that check the server's certificate."""


def authorities(sslmode: str, pem: str | None, files: ExitStack) -> str | None:
    """The file of authorities for libpq: the ones given, else those that browsers trust."""
    if sslmode not in VERIFYING:
        # libpq would verify all the same if it were given any.
        return None
    return public_authorities() if pem is None else as_file(pem, files)


def checked(pem: str | None) -> str | None:
    """``pem`` itself; raises ValueError when it holds no certificate."""
    if pem is not None and "-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("This is not a PEM certificate.")
    return pem


def as_file(pem: str, files: ExitStack) -> str:
    """The path of a file that holds ``pem``, readable by us alone, until ``files`` are closed."""
    descriptor, path = mkstemp(suffix=".pem")
    files.callback(os.unlink, path)
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
    return path


def public_authorities() -> str:
    """The path of the authorities that browsers trust, as this installation has them."""
    from botocore.httpsession import get_cert_path

    return str(get_cert_path(True))
