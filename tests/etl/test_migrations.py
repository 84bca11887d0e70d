"""The service's database goes on from where an earlier version has left it, rows and all."""

import uuid

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

BEFORE = ("etl", "0007_quarantine")


def test_graph_has_one_leaf() -> None:
    assert len(MigrationLoader(None).graph.leaf_nodes("etl")) == 1


@pytest.mark.django_db(transaction=True)
def test_database_with_rows_migrates_on() -> None:
    leaf = MigrationLoader(None).graph.leaf_nodes("etl")
    old = MigrationExecutor(connection).migrate([BEFORE]).apps
    try:
        team = old.get_model("warehouse", "Team")._default_manager.create(name="old")
        ends = [
            old.get_model("warehouse", "WarehouseConnection")._default_manager.create(
                team=team, name=name, provider=name, encrypted_credentials=""
            )
            for name in ("postgres", "snowflake")
        ]
        pipeline = old.get_model("etl", "Pipeline")._default_manager.create(
            team=team, name="old", source=ends[0], destination=ends[1], stage="S",
            destination_schema="PUBLIC",
        )  # fmt: skip
        table = old.get_model("etl", "PipelineTable")._default_manager.create(
            pipeline=pipeline, source_schema="public", source_table="t", destination_table="T",
            watermark={"snapshot": "1:1:", "origin": "o"},
        )  # fmt: skip
        for status in ("succeeded", "queued"):
            run = old.get_model("etl", "PipelineRun")._default_manager.create(
                pipeline=pipeline, status=status, trigger="api"
            )
            table_run = old.get_model("etl", "TableRun")._default_manager.create(
                run=run, table=table
            )
            old.get_model("etl", "Chunk")._default_manager.create(
                table=table_run, number=0, bounds=[]
            )
    finally:
        new = MigrationExecutor(connection)
        new.loader.build_graph()
        new.migrate(leaf)
    from etl.models import Chunk, Pipeline, PipelineRun

    found = Pipeline.all_teams.get(pk=uuid.UUID(str(pipeline.pk)))
    assert found.tables.get().mode == "xid"
    assert {run.is_judged for run in PipelineRun.objects.all()} == {True}
    assert not Chunk.objects.filter(keys=True).exists()
