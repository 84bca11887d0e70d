"""The form of a Databricks connection, and the least rights it needs."""

import re
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.credentials import Credentials, SignIn
from connectors.network import Endpoint

PATH = r"/?sql/[A-Za-z0-9._-]+(/[A-Za-z0-9_-]+)+/?(\?o=\d+)?"
PRINTABLE = re.compile(r"[\x21-\x7e]+")

GRANTS = """
-- As the owner of the catalog, or an administrator. <principal> is a user's mail address, the
-- application id of a service principal, or a group of the account; the backquotes stay.
GRANT USE CATALOG ON CATALOG <catalog> TO `<principal>`;
-- Once for each schema that is to be read; tables and views that come later are included.
GRANT USE SCHEMA ON SCHEMA <catalog>.<schema> TO `<principal>`;
GRANT SELECT ON SCHEMA <catalog>.<schema> TO `<principal>`;
-- There is no statement for the warehouse itself: open SQL Warehouses, <warehouse>, Permissions,
-- and give <principal> "Can use". A service principal also needs the entitlement
-- "Databricks SQL access", in the settings of the workspace.
""".strip()
"""Source: docs.databricks.com, Unity Catalog privileges and SQL warehouse access control."""


class DatabricksCredentials(Credentials):
    """A SQL warehouse, with a personal access token or a service principal's id and secret."""

    receiver_fields: ClassVar = frozenset({"host", "port", "protocol"})

    host: str = Field(
        title="Server hostname",
        description="Without https://. See Connection details of the SQL warehouse.",
        pattern=r"^[A-Za-z0-9.-]{1,253}$",
        examples=["dbc-a1b2c3d4-e5f6.cloud.databricks.com"],
    )
    http_path: str = Field(
        title="HTTP path",
        description="Names the SQL warehouse. See its Connection details.",
        pattern=rf"^{PATH}$",
        examples=["/sql/1.0/warehouses/a1b2c3d4e5f6a7b8"],
    )
    token: SecretStr | None = Field(
        None,
        title="Personal access token",
        description="Of a user or a service principal. It begins with dapi.",
    )
    client_id: str | None = Field(
        None,
        title="Client ID",
        description="Application id of a service principal, for OAuth machine-to-machine.",
        min_length=1,
        max_length=255,
        examples=["8f3b2c1d-0e4a-4b5c-9d6e-7f8091a2b3c4"],
    )
    client_secret: SecretStr | None = Field(
        None,
        title="OAuth secret",
        description="A secret of that service principal.",
        examples=["dose0123456789abcdef0123456789abcdef"],
    )
    catalog: str = Field(
        title="Catalog",
        description="Names without a catalog are looked up here; its tables are listed.",
        min_length=1,
        max_length=255,
        examples=["main"],
    )
    schema_: str = Field(
        "default",
        alias="schema",
        title="Schema",
        description="Names without a schema are looked up here.",
        min_length=1,
        max_length=255,
    )
    port: int = Field(443, title="Port", ge=1, le=65535)
    protocol: Literal["https", "http"] = Field(
        "https", title="Protocol", description="http only where the operator allows the host."
    )

    sign_ins: ClassVar = (
        SignIn("Personal access token", ("token",)),
        SignIn("OAuth of a service principal", ("client_id", "client_secret")),
    )
    example: ClassVar = {
        "host": "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
        "http_path": "/sql/1.0/warehouses/a1b2c3d4e5f6a7b8",
        "token": "dapi0123456789abcdef0123456789abcdef",
        "catalog": "main",
        "schema": "sales",
    }

    @field_validator("token", "client_secret")
    @classmethod
    def _fits_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not PRINTABLE.fullmatch(value.get_secret_value()):
            raise ValueError("This secret has no blanks, line breaks or special letters in it.")
        return value

    def address(self) -> Endpoint:
        """The host that serves the warehouse, and hands out tokens for it."""
        return Endpoint(self.host, self.port, tls=self.protocol == "https")

    def url(self) -> str:
        """The host as the beginning of an address."""
        return f"{self.protocol}://{self.host}:{self.port}"

    def target(self) -> str:
        return f"{self.host}/{self.catalog}.{self.schema_}"
