"""The form of a Snowflake connection, and the least rights it needs."""

import re
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.credentials import Credentials, SignIn
from connectors.network import Endpoint

DOMAINS = (".snowflakecomputing.com", ".snowflakecomputing.cn")

GRANTS = """
-- As SECURITYADMIN or the like. DEFAULT_SECONDARY_ROLES = () keeps the user to this one role.
CREATE ROLE <role>;
CREATE USER <user> TYPE = SERVICE DEFAULT_ROLE = <role> DEFAULT_WAREHOUSE = <warehouse>
  DEFAULT_SECONDARY_ROLES = () RSA_PUBLIC_KEY = '<public_key>';
GRANT ROLE <role> TO USER <user>;
GRANT USAGE ON WAREHOUSE <warehouse> TO ROLE <role>;
GRANT USAGE ON DATABASE <database> TO ROLE <role>;
-- Once for each schema that is to be read.
GRANT USAGE ON SCHEMA <database>.<schema> TO ROLE <role>;
GRANT SELECT ON ALL TABLES IN SCHEMA <database>.<schema> TO ROLE <role>;
GRANT SELECT ON FUTURE TABLES IN SCHEMA <database>.<schema> TO ROLE <role>;
GRANT SELECT ON ALL VIEWS IN SCHEMA <database>.<schema> TO ROLE <role>;
GRANT SELECT ON FUTURE VIEWS IN SCHEMA <database>.<schema> TO ROLE <role>;
""".strip()


class SnowflakeCredentials(Credentials):
    """A user of one Snowflake account, with a password, a key pair or a token."""

    receiver_fields: ClassVar = frozenset({"account", "host", "port", "protocol"})

    account: str = Field(
        title="Account", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,2}$",
        description="The account identifier, such as myorg-account1.",
    )  # fmt: skip
    user: str = Field(
        title="User", min_length=1, max_length=255,
        description="Best one of this service's own (TYPE = SERVICE), which can only read.",
    )  # fmt: skip
    password: SecretStr | None = Field(
        None, title="Password", examples=["a long one"], min_length=1,
        description="Most accounts ask for a second factor with it, which nobody is here to give.",
    )  # fmt: skip
    private_key: SecretStr | None = Field(
        None, title="Private key", description="PEM, PKCS#8, for key-pair sign-in."
    )
    private_key_passphrase: SecretStr | None = Field(
        None, title="Passphrase of the key", min_length=1,
        description="Only for a key that is encrypted.",
    )  # fmt: skip
    oauth_token: SecretStr | None = Field(
        None, title="OAuth access token", min_length=1, examples=["eyJhbGciOiJSUzI1NiIs…"],
        description="It is used as it is, until it expires; nobody is here to renew it.",
    )  # fmt: skip
    access_token: SecretStr | None = Field(
        None, title="Programmatic access token", min_length=1, examples=["eyJraWQiOiIxNzY0…"],
        description="Made with ALTER USER … ADD PROGRAMMATIC ACCESS TOKEN, for the role below. "
        "By default Snowflake wants a network policy on its user.",
    )  # fmt: skip
    warehouse: str | None = Field(
        None, title="Warehouse", min_length=1, max_length=255,
        description="What queries run on, and are billed for; else the user's own default.",
    )  # fmt: skip
    database: str = Field(
        title="Database", min_length=1, max_length=255,
        description="Its tables are listed; a query may name those of others, too.",
    )  # fmt: skip
    schema_: str = Field(
        "PUBLIC", alias="schema", title="Schema", min_length=1, max_length=255,
        description="Where a table is looked for that a query names without its schema.",
    )  # fmt: skip
    role: str | None = Field(
        None, title="Role", min_length=1, max_length=255,
        description="Else the user's own default. The user's secondary roles count as well, "
        "unless DEFAULT_SECONDARY_ROLES = () for that user.",
    )  # fmt: skip
    host: str | None = Field(None, title="Host", description="Only for private endpoints.")
    port: int = Field(443, title="Port", ge=1, le=65535)
    protocol: Literal["https", "http"] = Field(
        "https", title="Protocol", description="http only for a test server on a private network."
    )

    sign_ins: ClassVar = (
        SignIn("Key pair", ("private_key",), ("private_key_passphrase",)),
        SignIn("Programmatic access token", ("access_token",)),
        SignIn("OAuth access token", ("oauth_token",)),
        SignIn("Password", ("password",)),
    )
    example: ClassVar = {
        "account": "myorg-account1",
        "user": "WAREHOUSE_READER",
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN…\n-----END PRIVATE KEY-----\n",
        "warehouse": "REPORTING",
        "database": "ANALYTICS",
        "schema": "PUBLIC",
        "role": "READER",
    }

    @field_validator("private_key")
    @classmethod
    def _is_pem(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.search(
            r"-----BEGIN .*PRIVATE KEY", value.get_secret_value()
        ):
            raise ValueError("This is not a PEM private key.")
        return value

    def way_in(self) -> str:
        """The field that holds the secret."""
        ways = (way.needs[0] for way in self.sign_ins)
        return next(name for name in ways if getattr(self, name) is not None)

    def address(self) -> Endpoint:
        """The host that serves the account."""
        host = self.host or f"{self.account}{DOMAINS[0]}"
        return Endpoint(host, self.port, tls=self.protocol == "https")

    def target(self) -> str:
        return f"{self.account}/{self.database}.{self.schema_}"
