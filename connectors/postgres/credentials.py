"""The form of a Postgres connection: signing in by password or by TLS client certificate."""

import os
from contextlib import ExitStack
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import certificates
from connectors.credentials import HOST, Credentials, SignIn
from connectors.errors import InvalidCredentials

SECRETS = frozenset({"password", "sslcert", "sslkey", "sslpassword"})
# Something that is not there; libpq complains aloud about a device.
NO_FILE = f"{os.devnull}/none"
EXAMPLE_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIHQMIGDoAMCAQICAQEwBQYDK2VwMBIxEDAOBgNVBAMMB2V4YW1wbGUwHhcNMjYw
MTAxMDAwMDAwWhcNMjYwMTAyMDAwMDAwWjASMRAwDgYDVQQDDAdleGFtcGxlMCow
BQYDK2VwAyEAVIRpTqIvAWMzRJxAIbD09kum5R1e8cQdMUU22Y+KzbswBQYDK2Vw
A0EA2fBwioVMyRhKBJNqKXUxlVrXquMdqS0oPvUQ62BRJCtgMZSi1dJAlEeSn01S
i76W1MEilsy90aCAvuMU8bu/Bw==
-----END CERTIFICATE-----
"""
EXAMPLE_KEY = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFrczWbVlW7TotBAlPPrPwt0ZZZkAih0Otdcg2A/xhSv
-----END PRIVATE KEY-----
"""
"""A pair that was made for one day and is trusted nowhere."""


class PostgresCredentials(Credentials):
    """A user of one Postgres database, with a password or a TLS client certificate."""

    receiver_fields: ClassVar[frozenset[str]] = frozenset(
        {"host", "port", "sslmode", "sslrootcert"}
    )

    host: str = Field(
        title="Host", min_length=1, max_length=253, pattern=HOST, examples=["db.example.com"],
        description="The server's name or address, without port and database.",
    )  # fmt: skip
    port: int = Field(
        5432, title="Port", ge=1, le=65535, description="5432 unless the server says otherwise."
    )
    database: str = Field(
        title="Database", min_length=1, max_length=63,
        description="A connection reads one database; make another for each further one.",
    )  # fmt: skip
    user: str = Field(
        title="User", min_length=1, max_length=63, description="A role that may log in and read."
    )
    password: SecretStr | None = Field(
        None, title="Password", min_length=1, description="Of that user, on this server."
    )
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", title="TLS",
        description="prefer uses TLS if the server has it; require insists; verify-ca also checks "
        "the server's certificate, and verify-full that it is for this host.",
    )  # fmt: skip
    sslrootcert: str | None = Field(
        None, title="Certificate authority", max_length=1_000_000,
        description="PEM text, for verify-ca and verify-full. Without it, the public ones.",
    )  # fmt: skip
    sslcert: str | None = Field(
        None, title="Client certificate", max_length=100_000, examples=[EXAMPLE_CERTIFICATE],
        description="PEM text, instead of a password, with any that lie between it and the "
        "authority. Needs TLS: require at least.",
    )  # fmt: skip
    sslkey: SecretStr | None = Field(
        None, title="Key of the client certificate", max_length=100_000, examples=[EXAMPLE_KEY],
        description="PEM text, with or without a passphrase.",
    )  # fmt: skip
    sslpassword: SecretStr | None = Field(
        None, title="Passphrase of the key", min_length=1,
        description="Only for a key that has one.",
    )  # fmt: skip

    sign_ins: ClassVar = (
        SignIn("Password", ("password",)),
        SignIn("TLS client certificate", ("sslcert", "sslkey"), ("sslpassword",)),
    )
    example: ClassVar = {
        "host": "db.example.com",
        "port": 5432,
        "database": "shop",
        "user": "warehouse_reader",
        "password": "not-a-real-password",
        "sslmode": "verify-full",
    }

    @field_validator("sslrootcert", "sslcert")
    @classmethod
    def _is_pem(cls, value: str | None) -> str | None:
        return certificates.checked(value)

    @model_validator(mode="after")
    def _certificate_can_be_used(self) -> "PostgresCredentials":
        if self.sslcert is None or self.sslkey is None:
            return self
        if self.sslmode in ("disable", "prefer"):
            sentence = "A client certificate needs TLS: set require at least."
            raise InvalidCredentials(fields={"sslmode": sentence})
        passphrase = self.sslpassword.get_secret_value() if self.sslpassword else None
        certificates.check_pair(self.sslcert, self.sslkey.get_secret_value(), passphrase)
        return self

    def target(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    def for_libpq(self, files: ExitStack) -> dict[str, Any]:
        """What proves who we are, and who the server is; certificates in ``files``."""
        plain = {name: value for name, value in self.reveal().items() if name in SECRETS}
        for name in plain.keys() & {"sslcert", "sslkey"}:
            plain[name] = certificates.as_file(plain[name], files)
        return plain | {
            "sslmode": self.sslmode,
            "sslrootcert": certificates.authorities(self.sslmode, self.sslrootcert, files),
            # Otherwise certificates and passwords in the operator's home folder could be used.
            "sslcertmode": "allow" if self.sslcert else "disable",
            "passfile": NO_FILE,
        }
