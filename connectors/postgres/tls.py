"""The encrypted channel as libpq sets it up, on a socket of ours: for a check to look at.

Source: PostgreSQL documentation, chapters SSL Support (libpq) and SSL Session Encryption
(message flow).
"""

import socket
import ssl
import struct

from connectors import certificates
from connectors.errors import TlsFailed

SSL_REQUEST = struct.pack("!II", 8, 80877103)
YES = b"S"


def encrypt(connection: socket.socket, host: str, sslmode: str, sslrootcert: str | None) -> str:
    """Ask the server for TLS as ``sslmode`` does, and say what came of it; raises TlsFailed.

    As libpq does, ``prefer`` goes on in plain text where TLS cannot be had.
    """
    if sslmode == "disable":
        return "Not used: plain text, as sslmode says."
    try:
        connection.sendall(SSL_REQUEST)
        if connection.recv(1) == YES:
            context = _context(sslmode, sslrootcert)
            with context.wrap_socket(connection, server_hostname=host) as channel:
                return f"{channel.version()}, certificate valid until {_expiry(channel)}"
    except ssl.SSLCertVerificationError as exc:
        raise TlsFailed(hint=f"The server's certificate: {exc.verify_message}.") from exc
    except OSError as exc:
        if sslmode != "prefer":
            raise TlsFailed() from exc
    if sslmode == "prefer":
        return "Not used: the server has no TLS, and sslmode prefer goes on in plain text."
    raise TlsFailed("The server has no TLS.", hint="Set it up there, or choose another sslmode.")


def _context(sslmode: str, sslrootcert: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = sslmode == "verify-full"
    if sslmode not in certificates.VERIFYING:
        context.verify_mode = ssl.CERT_NONE
    elif sslrootcert is None:
        context.load_verify_locations(cafile=certificates.public_authorities())
    else:
        context.load_verify_locations(cadata=sslrootcert)
    return context


def _expiry(channel: ssl.SSLSocket) -> str:
    from cryptography import x509

    # Python itself tells nothing of a certificate that it was not asked to verify.
    certificate = x509.load_der_x509_certificate(channel.getpeercert(binary_form=True) or b"")
    return certificate.not_valid_after_utc.date().isoformat()
