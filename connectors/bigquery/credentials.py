"""The form of a BigQuery connection, and the least rights it needs."""

import json
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.bigquery import auth
from connectors.credentials import Credentials, SignIn
from connectors.network import Endpoint

API = "https://bigquery.googleapis.com"
STORAGE_API = "https://bigquerystorage.googleapis.com"
GOOGLE = ".googleapis.com"

GRANTS = """\
# Queries in the project, and their results over the Storage Read API; in a shell:
gcloud projects add-iam-policy-binding <project> \\
  --member="serviceAccount:<account>" --role="roles/bigquery.jobUser"
gcloud projects add-iam-policy-binding <project> \\
  --member="serviceAccount:<account>" --role="roles/bigquery.readSessionUser"
# Each dataset that is to be read, as a query:
GRANT `roles/bigquery.dataViewer` ON SCHEMA `<project>`.`<dataset>`
  TO "serviceAccount:<account>";
"""


class BigQueryCredentials(Credentials):
    """A service account that reads in one Google Cloud project."""

    receiver_fields: ClassVar = frozenset({"api_endpoint", "storage_endpoint"})
    sign_ins: ClassVar = (
        SignIn("Service account key", ("service_account_json",)),
        SignIn("Identity of this machine", ("use_machine_identity",)),
    )
    example: ClassVar = {
        "project": "my-project",
        "service_account_json": json.dumps(
            {
                "type": "service_account",
                "project_id": "my-project",
                "private_key_id": "0123456789abcdef",
                "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n",
                "client_email": "reader@my-project.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
            },
            ensure_ascii=False,
        ),
        "dataset": "analytics",
        "location": "EU",
    }

    project: str = Field(
        title="Project",
        pattern=r"^[a-z0-9][a-z0-9.:-]{2,100}$",
        description="The project's ID, in which queries run and are billed.",
    )
    service_account_json: SecretStr | None = Field(
        None,
        title="Service account key",
        description="The whole JSON key file, as text or as an object.",
    )
    use_machine_identity: Literal[True] | None = Field(
        None,
        title="Use the identity of this machine",
        description="No key: the service account that this machine runs as (workload identity). "
        "Only for projects that the operator has listed.",
        examples=[True],
    )
    dataset: str | None = Field(
        None,
        title="Default dataset",
        pattern=r"^[A-Za-z0-9_]+$",
        max_length=1024,
        description="Where a table is looked for that a query names without its dataset.",
    )
    location: str | None = Field(
        None,
        title="Location",
        pattern=r"^[A-Za-z0-9-]{2,40}$",
        description="Where queries run, such as EU; left out, it is where the tables lie.",
    )
    api_endpoint: str = Field(
        API, title="API endpoint", description="Another than the public one, for a private network."
    )
    storage_endpoint: str | None = Field(
        None,
        title="Storage Read API endpoint",
        description="host:port, of the same private network; plain text unless it is Google's.",
        pattern=r"^[A-Za-z0-9._-]+:[0-9]{1,5}$",
    )

    @field_validator("service_account_json", mode="before")
    @classmethod
    def _whole_key(cls, value: object) -> object:
        text = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(text, str):
            auth.key_info(text)
        return text

    def key_info(self) -> dict[str, str] | None:
        """The key file as a mapping, where there is one."""
        key = self.service_account_json
        return None if key is None else auth.key_info(key.get_secret_value())

    def storage_address(self) -> Endpoint | None:
        """Where results are read; ``None`` where only the API's endpoint is known."""
        if self.storage_endpoint is None:
            return Endpoint.of_url(STORAGE_API) if self.api_endpoint == API else None
        host = self.storage_endpoint.partition(":")[0]
        scheme = "https" if host.lower().endswith(GOOGLE) else "http"
        return Endpoint.of_url(f"{scheme}://{self.storage_endpoint}")

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        if key := self.key_info():
            yield key["private_key"]
            yield from key["private_key"].splitlines()
            yield str(key.get("private_key_id", ""))

    def target(self) -> str:
        return self.project if self.dataset is None else f"{self.project}.{self.dataset}"
