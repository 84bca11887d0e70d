"""Certificates for clients that read them from files only."""

import os
from contextlib import ExitStack
from tempfile import mkstemp


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
