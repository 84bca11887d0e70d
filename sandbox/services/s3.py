"""S3 on disk: OpenStack Swift's proxy with s3api, and its three storage servers."""

import http.client
import os
import pwd
import secrets
import sys
from pathlib import Path
from string import Template
from typing import Any, ClassVar

import boto3
from botocore.client import Config

from sandbox.errors import SandboxError
from sandbox.files import read_json, write_json, write_private
from sandbox.guarded import run_guarded
from sandbox.services.base import LOOPBACK, Process, Service, accepts_connections

BUCKET = "warehouse-stage"
REGION = "us-east-1"
_ACCOUNT = "lake"
_SERVERS = {
    "proxy": "swift.proxy.server",
    "object": "swift.obj.server",
    "container": "swift.container.server",
    "account": "swift.account.server",
}
_STORAGE = ("object", "container", "account")
_TEMPLATES = Path(__file__).resolve().parent.parent / "s3"
_RINGS_TIMEOUT_S = 60.0
_PROBE_TIMEOUT_S = 2.0


class NoExtendedAttributes(SandboxError):
    """The file system cannot keep what Swift writes beside each object."""


class RingsFailed(SandboxError):
    """Swift's rings could not be written; the message ends with what was printed."""


class S3(Service):
    """One account, one key pair, one bucket; signatures are verified."""

    name: ClassVar[str] = "s3"

    def plan(self) -> dict[str, Any]:
        """Keep ports and keys from run to run."""
        self._ports = {kind: self.kept_port(f"{kind}_port") for kind in _SERVERS}
        # Swift names a key account:user, and its configuration takes "_" for the ":".
        self._user_name = self.kept_secret("user", lambda: secrets.token_hex(8))
        return {
            "endpoint": f"http://{LOOPBACK}:{self._ports['proxy']}",
            "region": REGION,
            "access_key": f"{_ACCOUNT}:{self._user_name}",
            "secret_key": self.kept_secret("secret_key"),
            "bucket": BUCKET,
        }

    def prepare(self) -> None:
        """Write configuration and rings; raises NoExtendedAttributes or RingsFailed."""
        for folder in (self._config, self._devices / "dev"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_extended_attributes(self._devices)
        self._write_config("swift.conf", "swift.conf")
        self._write_config("proxy.conf", "proxy.conf", port=self._ports["proxy"])
        for kind in _STORAGE:
            self._write_config("storage.conf", f"{kind}.conf", kind=kind, port=self._ports[kind])
        self._write_rings()

    def processes(self) -> list[Process]:
        """Return the proxy and the storage servers, each a single worker."""
        # -v sends their errors to the log; without it they go to syslog only.
        return [
            Process([sys.executable, "-c", f"from {module} import main; main()", conf, "-v"])
            for kind, module in _SERVERS.items()
            if (conf := str(self._config / f"{kind}.conf"))
        ]

    def ready(self) -> bool:
        """Tell whether the proxy serves and the storage servers listen."""
        if not all(map(accepts_connections, self._ports.values())):
            return False
        connection = http.client.HTTPConnection(
            LOOPBACK, self._ports["proxy"], timeout=_PROBE_TIMEOUT_S
        )
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def seed(self) -> None:
        """Create the bucket unless it is there."""
        endpoint = self.endpoints[self.name]
        client = boto3.client(
            "s3",
            endpoint_url=endpoint["endpoint"],
            region_name=endpoint["region"],
            aws_access_key_id=endpoint["access_key"],
            aws_secret_access_key=endpoint["secret_key"],
            # Not through a proxy that the environment may name.
            config=Config(proxies={}, retries={"total_max_attempts": 3}),
        )
        try:
            client.create_bucket(Bucket=BUCKET)
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        finally:
            client.close()

    @property
    def _config(self) -> Path:
        return self.home / "etc"

    @property
    def _devices(self) -> Path:
        return self.home / "data"

    def _write_config(self, template: str, target: str, **values: object) -> None:
        text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(
            host=LOOPBACK,
            # Swift insists on a user to become: the one it runs as already.
            user=pwd.getpwuid(os.geteuid()).pw_name,
            config_folder=self._config,
            devices=self._devices,
            region=REGION,
            account=_ACCOUNT,
            user_name=self._user_name,
            secret_key=self.kept_secret("secret_key"),
            # An object's place on disk follows from these two.
            hash_prefix=self.kept_secret("hash_prefix"),
            hash_suffix=self.kept_secret("hash_suffix"),
            **values,
        )
        write_private(self._config / target, text)

    def _write_rings(self) -> None:
        ports = {kind: self._ports[kind] for kind in _STORAGE}
        written = self._config / "rings.json"
        if read_json(written) == ports:
            return
        log = self.home / "rings.log"
        log.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "sandbox.s3.rings", str(self._config)]
        argv += [f"{kind}={port}" for kind, port in ports.items()]
        if status := run_guarded(Process(argv), self.home, log, timeout_s=_RINGS_TIMEOUT_S):
            raise RingsFailed(f"Writing rings ended with status {status}:\n{log.read_text()}")
        write_json(written, ports)


def check_extended_attributes(folder: Path) -> None:
    """Raise NoExtendedAttributes, saying what to do, if files below `folder` cannot have any."""
    try:
        os.setxattr(folder, "user.sandbox", b"probe")
        os.removexattr(folder, "user.sandbox")
    except OSError as error:
        raise NoExtendedAttributes(
            f"The file system of {folder} refuses extended attributes ({error.strerror}), in "
            "which Swift keeps each object's headers. Choose a root on ext4, xfs or btrfs."
        ) from error
