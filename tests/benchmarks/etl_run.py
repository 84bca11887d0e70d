"""One run of a pipeline by the service's own runner: ``etl_run.py TABLE WORKERS [MB_S]``.

Postgres → S3 → a table of Snowflake that is not there yet, with ledger, leases and watermarks, in
the sandbox of SANDBOX_HOME. The time is that of the run, from its request to its end.
"""

import os
import sys
import uuid
from pathlib import Path
from typing import Any

from sandbox.files import read_json
from tests import vendors
from tests.benchmarks import etl_ours
from tests.benchmarks.contender import run_contender

TEAM = "Benchmarks"


def pipeline_of(table: str, mb_s: float | None) -> Any:
    """A pipeline of that table into one of its own."""
    from etl import pipelines
    from etl.models import Pipeline, ReadMode
    from etl.pipelines import TableSpec
    from warehouse import connections
    from warehouse.connections import Draft
    from warehouse.models import Team

    endpoints = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")
    forms, name = vendors.sandbox_forms(endpoints), uuid.uuid4().hex
    team, _ = Team.objects.get_or_create(name=TEAM)
    source, destination = (
        connections.create(
            team,
            None,
            Draft.of(name=f"{provider} {name}", provider=provider, credentials=forms[provider]),
        )
        for provider in ("postgres", "snowflake")
    )
    made = Pipeline(
        team=team,
        name=name,
        source=source,
        destination=destination,
        destination_schema=forms["snowflake"]["schema"],
        stage=etl_ours.make_stage(endpoints, str(team.pk)),
        max_source_mb_s=mb_s,
    )
    target = f"T{name.upper()}"
    return pipelines.create(made, [TableSpec(*table.split("."), target, ReadMode.FULL)])


def main(table: str, workers: str, mb_s: str | None = None) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    from etl import pipelines, runner
    from etl.models import RunStatus, Trigger
    from etl.stage import Stage

    pipeline = pipeline_of(table, float(mb_s) if mb_s else None)

    def work() -> tuple[int, int]:
        requested = pipelines.request_run(pipeline, Trigger.COMMAND)
        run = runner.execute(requested.pk, sessions=int(workers))
        if run is None or run.status != RunStatus.SUCCEEDED:
            raise RuntimeError(f"The run has failed: {run and run.error}")
        moved = run.tables.get()
        return moved.rows, moved.bytes_staged

    run_contender(work)
    Stage(str(pipeline.team_id)).remove(str(pipeline.pk))
    pipelines.delete(pipeline)


if __name__ == "__main__":
    main(*sys.argv[1:])
