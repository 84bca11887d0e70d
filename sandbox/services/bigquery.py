"""BigQuery: bqemulator behind our front, in an environment of its own."""

import hashlib
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.errors import SandboxError
from sandbox.files import write_json
from sandbox.services.base import LOOPBACK, Process, Service, accepts_connections

INTERPRETER_VARIABLE = "SANDBOX_BIGQUERY_PYTHON"
DENIED_DATASET = "restricted"

_PROJECT = "sandbox-project"
_DATASET = "analytics"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_PROBE_TIMEOUT_S = 0.5
_SEED_TIMEOUT_S = 20
_SEED = (
    f"CREATE SCHEMA IF NOT EXISTS {_DATASET}",
    f"CREATE SCHEMA IF NOT EXISTS {DENIED_DATASET}",
    f"""CREATE OR REPLACE TABLE {_DATASET}.plans AS
        SELECT i AS plan_id,
               CONCAT(IF(MOD(i, 3) = 0, 'team-', 'solo-'), CAST(i AS STRING)) AS name,
               CAST(MOD(i * 37, 5000) AS NUMERIC) / NUMERIC '100' + NUMERIC '4.99' AS price,
               MOD(i, 7) != 0 AS active,
               TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL i HOUR) AS created_at
        FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS i""",
    f"""CREATE OR REPLACE TABLE {_DATASET}.usage AS
        SELECT DATE_ADD(DATE '2026-01-01', INTERVAL MOD(i, 200) DAY) AS date,
               MOD(i * 31, 1000) + 1 AS plan_id,
               CONCAT('tenant-', CAST(MOD(i * 17, 250) AS STRING)) AS tenant,
               MOD(i * 7919, 10007) AS requests,
               MOD(i * 104729, 100003) / 1000.0 AS latency
        FROM UNNEST(GENERATE_ARRAY(1, 20000)) AS i""",
    f"""CREATE OR REPLACE TABLE {DENIED_DATASET}.salaries AS
        SELECT i AS person, i * 1000 AS amount FROM UNNEST(GENERATE_ARRAY(1, 10)) AS i""",
)


class NoEmulator(SandboxError):
    """The emulator's environment has not been made."""


class BigQuery(Service):
    """One project with a reader (`service_account`) and a writer (`admin_service_account`).

    `dataset_service_account` is a reader with rights on datasets only, none on the project.
    The readers may not see the dataset `denied_dataset`. Data live in memory and are made anew at
    every start; keys and ports stay, so that stored connections go on working.
    """

    name: ClassVar[str] = "bigquery"

    def plan(self) -> dict[str, Any]:
        """Keep ports and keys from run to run."""
        self._port = self.kept_port()
        self._storage_port = self.kept_port("storage_port")
        return {
            "api_endpoint": f"http://{LOOPBACK}:{self._port}",
            "storage_endpoint": f"{LOOPBACK}:{self._storage_port}",
            "project": _PROJECT,
            "dataset": _DATASET,
            "denied_dataset": DENIED_DATASET,
            "service_account": self._account("reader"),
            "admin_service_account": self._account("admin"),
            "dataset_service_account": self._account("dataset-reader"),
        }

    def prepare(self) -> None:
        """Write the server's settings; raises NoEmulator."""
        self._python = _interpreter()
        endpoint = self.endpoints[self.name]
        files = self.home / "files"
        files.mkdir(mode=0o700, exist_ok=True)
        reader, admin, by_dataset = (
            identity(endpoint[f"{which}service_account"]) for which in ("", "admin_", "dataset_")
        )
        denied = {"denied_datasets": [DENIED_DATASET]}
        settings = {
            "project": _PROJECT,
            "port": self._port,
            "storage_port": self._storage_port,
            "folder": str(files),
            "accounts": [
                reader | denied,
                admin | {"can_write": True},
                by_dataset | denied | {"by_dataset": True},
            ],
        }
        write_json(self._settings, settings)

    def processes(self) -> list[Process]:
        """Return the server, which serves both interfaces."""
        argv = [str(self._python), "-m", "sandbox.bigquery"]
        return [Process(argv, env={"SANDBOX_BIGQUERY_SETTINGS": str(self._settings)})]

    def ready(self) -> bool:
        """Ask for its health; it answers once both of its ports are open."""
        try:
            url = f"http://{LOOPBACK}:{self._port}/healthz"
            with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:
                healthy: bool = answer.status == 200
        except (URLError, OSError):
            return False
        return healthy and accepts_connections(self._storage_port)

    def seed(self) -> None:
        """Make the datasets and their tables, the same rows every time."""
        client = client_for(self.endpoints[self.name], "admin_service_account")
        try:
            for statement in _SEED:
                # By default it would try again for ten minutes.
                once = {"retry": None, "timeout": _SEED_TIMEOUT_S}
                client.query(statement, **once).result(**once)
        finally:
            client.close()

    @property
    def _settings(self) -> Path:
        return self.home / "settings.json"

    def _account(self, role: str) -> dict[str, Any]:
        return service_account(
            f"{role}@{_PROJECT}.iam.gserviceaccount.com",
            self.kept_secret(f"{role}_key", new_private_key),
            _PROJECT,
            f"http://{LOOPBACK}:{self._port}/token",
        )


def new_private_key() -> str:
    """Make an RSA key as Google's key files hold it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def service_account(email: str, private_key: str, project: str, token_uri: str) -> dict[str, Any]:
    """Return a key file of the shape that Google hands out."""
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": hashlib.sha256(private_key.encode()).hexdigest()[:40],
        "private_key": private_key,
        "client_email": email,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


def identity(account: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the server has to know of an account, which is nothing secret."""
    key = serialization.load_pem_private_key(account["private_key"].encode(), password=None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"email": account["client_email"], "public_key": public.decode()}


def client_for(endpoint: Mapping[str, Any], account: str) -> Any:
    """Return Google's own client, signed in with one of the endpoint's accounts."""
    from google.cloud import bigquery
    from google.oauth2.service_account import Credentials

    # Google's annotations are partial.
    credentials: Any = Credentials
    return bigquery.Client(
        project=endpoint["project"],
        credentials=credentials.from_service_account_info(endpoint[account]),
        client_options={"api_endpoint": endpoint["api_endpoint"]},
    )


def _interpreter() -> Path:
    given = os.environ.get(INTERPRETER_VARIABLE)
    found = Path(given) if given else _CHECKOUT / ".venv-bigquery" / "bin" / "python"
    if not found.exists():
        raise NoEmulator(
            f"There is no {found}, which the BigQuery stand-in runs under: "
            f"`make sandbox-env` creates it, or {INTERPRETER_VARIABLE} names another."
        )
    return found
