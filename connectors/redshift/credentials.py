"""The form of a Redshift connection, and the least rights it needs."""

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from connectors import certificates
from connectors.credentials import HOST, Credentials, SignIn
from connectors.redshift import iam
from connectors.redshift.iam import AwsKey

KEY = ("access_key_id", "secret_access_key", "session_token", "region", "iam_endpoint")

GRANTS = """
-- As the owner of the tables, once for each schema. Of an external schema, USAGE is enough.
GRANT USAGE ON SCHEMA <schema> TO <user>;
GRANT SELECT ON ALL TABLES IN SCHEMA <schema> TO <user>;
ALTER DEFAULT PRIVILEGES IN SCHEMA <schema> GRANT SELECT ON TABLES TO <user>;
-- As a superuser, for row counts and sizes of tables.
GRANT SELECT ON svv_table_info TO <user>;
""".strip()


class RedshiftCredentials(Credentials):
    """A database user and password, or an AWS identity that may act as a database user."""

    host: str = Field(
        title="Host", min_length=1, max_length=253, pattern=HOST,
        examples=["my-cluster.abc123.us-east-1.redshift.amazonaws.com"],
        description="The endpoint of the cluster or workgroup, without port and database.",
    )  # fmt: skip
    port: int = Field(
        5439, title="Port", ge=1, le=65535, description="5439, unless the owner chose another."
    )
    database: str = Field(
        title="Database", min_length=1, max_length=127, examples=["dev"],
        description="Its schemas can be queried; for another database, make another connection.",
    )  # fmt: skip
    user: str | None = Field(
        None, title="User", min_length=1, max_length=127,
        description="The database user. For a workgroup none: AWS derives it from the key.",
    )  # fmt: skip
    password: SecretStr | None = Field(
        None, title="Password", min_length=1, description="Of the database user."
    )
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        "require", title="TLS", description="verify-full checks the certificate and the host name."
    )
    sslrootcert: str | None = Field(
        None, title="Certificate authority", max_length=1_000_000,
        description="PEM text. Without it, the public authorities, which have signed Amazon's.",
    )  # fmt: skip
    cluster_identifier: str | None = Field(
        None, title="Cluster identifier", pattern=r"^[a-z][a-z0-9-]{0,62}$",
        examples=["my-cluster"],
        description="Instead of a password: sign in to this cluster through IAM.",
    )  # fmt: skip
    workgroup: str | None = Field(
        None, title="Workgroup", pattern=r"^[a-z0-9-]{3,64}$", examples=["my-workgroup"],
        description="Instead of a password: sign in to this serverless workgroup through IAM.",
    )  # fmt: skip
    region: str | None = Field(
        None, title="Region", examples=["us-east-1"], validate_default=True,
        description="For IAM, where the host does not name it.",
    )  # fmt: skip
    access_key_id: str | None = Field(
        None, title="AWS access key", pattern=r"^\w{16,128}$",
        description="For IAM. It may be left out only where the operator lets this service's own "
        "AWS identity sign in.",
    )  # fmt: skip
    secret_access_key: SecretStr | None = Field(
        None, title="AWS secret key", min_length=1, validate_default=True,
        description="The other half of the access key.",
    )  # fmt: skip
    session_token: SecretStr | None = Field(
        None, title="AWS session token", min_length=1,
        description="Only for a temporary access key, which this connection then outlives.",
    )  # fmt: skip
    iam_endpoint: str | None = Field(
        None, title="AWS endpoint", description="Only for a private endpoint of Redshift's API."
    )

    receiver_fields: ClassVar[frozenset[str]] = frozenset(
        {"host", "port", "iam_endpoint", "sslmode", "sslrootcert"}
    )
    sign_ins: ClassVar[tuple[SignIn, ...]] = (
        SignIn("Password", ("user", "password")),
        SignIn("IAM, for a cluster", ("user", "cluster_identifier"), KEY),
        SignIn("IAM, for a serverless workgroup", ("workgroup",), KEY),
    )
    example: ClassVar[dict[str, Any]] = {
        "host": "my-cluster.abc123.us-east-1.redshift.amazonaws.com",
        "port": 5439,
        "database": "dev",
        "user": "warehouse_reader",
        "password": "not-a-real-password",
        "sslmode": "verify-full",
    }

    @field_validator("sslrootcert")
    @classmethod
    def _is_pem(cls, value: str | None) -> str | None:
        return certificates.checked(value)

    @field_validator("region")
    @classmethod
    def _is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        through_iam = info.data.get("cluster_identifier") or info.data.get("workgroup")
        region = value or _region_of(info.data.get("host", ""))
        if through_iam and not iam.REGION.fullmatch(region):
            raise ValueError("Give the AWS region, such as us-east-1.")
        return value

    @field_validator("secret_access_key")
    @classmethod
    def _is_whole(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "access_key_id" in info.data and (value is None) != (info.data["access_key_id"] is None):
            raise ValueError("An AWS key has two halves: access_key_id and secret_access_key.")
        return value

    def aws_region(self) -> str:
        """The region given, or the one in the host; empty when neither says."""
        return self.region or _region_of(self.host)

    def is_serverless(self) -> bool | None:
        """A serverless workgroup; ``None`` when the host is an alias that does not tell."""
        if self.workgroup or self.cluster_identifier:
            return self.workgroup is not None
        vendor = iam.VENDOR_HOST.fullmatch(self.host.lower())
        return vendor["serverless"] is not None if vendor else None

    def api_url(self) -> str:
        """Where a temporary password is asked for."""
        region, serverless = self.aws_region(), self.workgroup is not None
        return self.iam_endpoint or iam.api_url(region, serverless=serverless)

    def aws_key(self) -> AwsKey:
        return AwsKey(
            self.access_key_id,
            self.secret_access_key.get_secret_value() if self.secret_access_key else None,
            self.session_token.get_secret_value() if self.session_token else None,
        )

    def target(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def _region_of(host: str) -> str:
    vendor = iam.VENDOR_HOST.fullmatch(host.lower())
    return vendor["region"] if vendor else ""
