"""Certificates and keys for clients that read them from files only."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkstemp

from connectors.errors import InvalidCredentials

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


def check_pair(sslcert: str, sslkey: str, sslpassword: str | None) -> None:
    """The key opens with that passphrase and is the certificate's; else InvalidCredentials.

    libpq would find out as well, but only when it connects, and might ask at a terminal.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificates(sslcert.encode())[0]
    except ValueError:
        raise _at_fault("sslcert", "This is not a PEM certificate.") from None
    passphrase = sslpassword.encode() if sslpassword is not None else None
    try:
        key = load_pem_private_key(
            # Whether it is a good key is the server's question; asking takes long.
            sslkey.encode(),
            passphrase,
            unsafe_skip_rsa_key_validation=True,
        )
    except TypeError:
        said = "The key has a passphrase." if passphrase is None else "The key has no passphrase."
        raise _at_fault("sslpassword", said) from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase is not None and "ENCRYPTED" in sslkey:
            said = "The key does not open with this passphrase."
            raise _at_fault("sslpassword", said) from None
        raise _at_fault("sslkey", "This is not a PEM private key.") from None
    if key.public_key() != certificate.public_key():
        raise _at_fault("sslkey", "This key does not belong to the certificate.")


def _at_fault(field: str, sentence: str) -> InvalidCredentials:
    return InvalidCredentials(fields={field: sentence})


def as_file(pem: str, files: ExitStack) -> str:
    """The path of a file that holds ``pem``, readable by us alone, until ``files`` are closed.

    In memory where the system can (Linux): nothing is left behind, however the process ends.
    """
    descriptor, path = _in_memory(files) if hasattr(os, "memfd_create") else _on_disk(files)
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
    return path


def _in_memory(files: ExitStack) -> tuple[int, str]:
    kept = os.memfd_create("pem")
    files.callback(os.close, kept)
    # libpq refuses a key that others could read.
    os.fchmod(kept, 0o600)
    return os.dup(kept), f"/proc/self/fd/{kept}"


def _on_disk(files: ExitStack) -> tuple[int, str]:
    descriptor, path = mkstemp(suffix=".pem")
    files.callback(Path(path).unlink)
    return descriptor, path


def public_authorities() -> str:
    """The path of the authorities that browsers trust, as this installation has them."""
    from botocore.httpsession import get_cert_path

    return str(get_cert_path(True))
