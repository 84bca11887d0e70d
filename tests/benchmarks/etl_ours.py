"""Ours, and the floor, of ``etl``: ``python -m tests.benchmarks.etl_ours WHO CASE FOLDER TABLE …``.

WHO is ours, ours-warm (a table of the same columns goes before the one that is timed) or floor;
the sandbox's home is in SANDBOX_HOME. The rows end up in FOLDER, in the bucket, or in Snowflake.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sandbox.files import read_json
from tests import vendors
from tests.benchmarks.contender import empty, run_contender, try_each
from tests.benchmarks.etl_tables import SCHEMA, WARM_UP

TEAM = "bench-etl"
CHUNK_BYTES = 256 * 2**20
"""As pipelines have it, where nobody has chosen another size."""
Counted = tuple[int | None, int | None]
Endpoints = dict[str, Any]


@contextmanager
def extraction(endpoints: Endpoints, table: str) -> Iterator[tuple[Any, Iterator[Any]]]:
    """How the table is read, and its rows, one chunk after the other by one session."""
    from connectors import NetworkPolicy, connect

    form = vendors.sandbox_forms(endpoints)["postgres"]
    with connect("postgres", form, network=NetworkPolicy.allowing(["127.0.0.0/8"])) as source:
        reader: Any = source
        plan = reader.plan(*table.split("."), None, CHUNK_BYTES)
        yield plan, (batch for part in plan.chunks for batch in reader.read(plan, part, None))


def extract(endpoints: Endpoints, folder: Path, table: str) -> Counted:
    """To Parquet files on disk."""
    from etl.parquet import Written, write_parts

    def open_part(part: Written, stack: ExitStack) -> BinaryIO:
        return stack.enter_context((folder / part.name).open("wb"))

    with extraction(endpoints, table) as (plan, batches):
        parts = write_parts(plan.columns, batches, open_part, lambda rows, size: None)
    return sum(part.rows for part in parts), sum(part.bytes for part in parts)


def stage(endpoints: Endpoints, folder: Path, table: str) -> Counted:
    """To Parquet objects in the bucket."""
    manifest = _staged(endpoints, table)
    return manifest.rows, manifest.bytes


def whole(endpoints: Endpoints, folder: Path, table: str) -> Counted:
    """To a table of Snowflake that is not there yet."""
    from connectors import NetworkPolicy, connect
    from connectors.types import LoadTarget

    manifest = _staged(endpoints, table)
    form = vendors.sandbox_forms(endpoints)["snowflake"]
    target = LoadTarget(form["schema"], f"T{uuid.uuid4().hex}", stage_name(TEAM), 1)
    with connect("snowflake", form, network=NetworkPolicy.allowing(["127.0.0.0/8"])) as lake:
        lake.load(manifest, target)  # type: ignore[attr-defined]
    return manifest.rows, manifest.bytes


def stage_name(team: str) -> str:
    """The external stage of Snowflake on the team's folder of the bucket."""
    return f"STAGE_{team.replace('-', '_').upper()}"


def make_stage(endpoints: Endpoints, team: str) -> str:
    """Make that stage; its name."""
    form, name = vendors.sandbox_forms(endpoints)["snowflake"], stage_name(team)
    with vendors.EXECUTING["snowflake"](form) as run:
        run(
            f'CREATE STAGE IF NOT EXISTS "{form["schema"]}"."{name}" '
            f"URL = 's3://{endpoints['s3']['bucket']}/{team}/'"
        )
    return name


def _staged(endpoints: Endpoints, table: str) -> Any:
    from django.conf import settings

    from connectors.types import Manifest
    from etl.stage import Stage

    s3 = endpoints["s3"]
    if not settings.configured:
        settings.configure(
            STAGE_S3_BUCKET=s3["bucket"], STAGE_S3_ENDPOINT=s3["endpoint"],
            STAGE_S3_REGION=s3["region"], STAGE_S3_ACCESS_KEY=s3["access_key"],
            STAGE_S3_SECRET_KEY=s3["secret_key"],
        )  # fmt: skip
    location = f"run-{uuid.uuid4()}"
    with extraction(endpoints, table) as (plan, batches):
        files = Stage(TEAM).write(location, plan.columns, batches, lambda rows, size: None)
        made = Manifest(location, location, files, plan.columns, plan.primary_key)
    Stage(TEAM).write_manifest(made)
    return made


def floor(endpoints: Endpoints, table: str) -> Counted:
    """Nothing but the rows' way out of the server, by its own client where that is there."""
    dsn, copy = endpoints["postgres"]["datavault_dsn"], f"COPY {table} TO STDOUT (FORMAT BINARY)"
    if psql := shutil.which("psql"):
        done = subprocess.run([psql, dsn, "-c", copy], stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError("psql has failed.")
        return None, None
    import psycopg

    with psycopg.connect(dsn) as connection, connection.cursor().copy(copy) as rows:
        return sum(1 for _ in rows), None


def main(who: str, case: str, folder: str, *tables: str) -> None:
    endpoints = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")
    work = partial({"extract": extract, "stage": stage, "whole": whole}[case], endpoints)
    if len(tables) > 1:
        try_each(lambda table, folder: work(folder, table), tables, Path(folder))
    elif who == "floor":
        run_contender(partial(floor, endpoints, *tables))
    else:
        if who == "ours-warm":
            work(empty(Path(folder)), f"{SCHEMA}.{WARM_UP}")
        run_contender(partial(work, empty(Path(folder)), *tables))


if __name__ == "__main__":
    main(*sys.argv[1:])
