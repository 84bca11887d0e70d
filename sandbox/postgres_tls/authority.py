"""An authority of the sandbox's own, and what it signs: this server, and one user."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.files import write_private

AUTHORITY, SERVER, CLIENT = "authority", "server", "client"
_LIFETIME = timedelta(days=825)
_RENEW_BEFORE = timedelta(days=30)


class Authority:
    """Signs certificates; its own is self-signed."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = self._signed(self._name, self._key)

    def pair(self, name: str, lifetime: timedelta = _LIFETIME) -> tuple[str, str]:
        """A certificate for the host or user of that name, and its key; PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_name(name), key, host=name, lifetime=lifetime)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return certificate, private.decode()

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        host: str | None = None,
        lifetime: timedelta = _LIFETIME,
    ) -> str:
        """The certificate of a host or user, or of an authority where it is for neither."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _LIFETIME)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(host is None, None), critical=True)
        )
        if host is not None:
            hosts = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(hosts, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def make_certificates(folder: Path, user: str) -> None:
    """Write authority.crt, and server and client ``.crt`` and ``.key``, unless they will last."""
    if _lasts(folder / f"{CLIENT}.crt"):
        return
    authority = Authority("Sandbox")
    write_private(folder / f"{AUTHORITY}.crt", authority.certificate)
    for file, name in ((SERVER, "localhost"), (CLIENT, user)):
        certificate, key = authority.pair(name)
        write_private(folder / f"{file}.key", key)
        write_private(folder / f"{file}.crt", certificate)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _lasts(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return found.not_valid_after_utc > datetime.now(UTC) + _RENEW_BEFORE
