"""`manage.py run_pipeline`."""

import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from etl.models import Pipeline
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("run_pipeline", *arguments, stdout=out)
    return out.getvalue()


def test_pipeline_is_found_by_name_and_says_what_it_moved(
    pipeline: Pipeline, records: Callable[[int], None], target_table: str
) -> None:
    records(25)
    assert f"public.records: 25 rows moved, 25 in {target_table}." in run("nightly")


def test_workers_are_as_many_as_asked_for(
    pipeline: Pipeline, records: Callable[[int], None], target_table: str, settings: Any
) -> None:
    settings.PIPELINE_CHUNK_MB = 0.1
    records(3_000)
    assert f"3,000 rows moved, 3,000 in {target_table}." in run("nightly", "--workers", "3")
    with pytest.raises(CommandError, match="--workers"):
        run("nightly", "--workers", "0")


def test_failure_is_a_sentence_with_its_code(pipeline: Pipeline) -> None:
    with pytest.raises(CommandError, match="object_not_found: There is no table"):
        run(str(pipeline.pk))


def test_unknown_pipeline_is_said(db: None) -> None:
    with pytest.raises(CommandError, match="no pipeline"):
        run("nothing")


def test_paused_pipeline_is_said(pipeline: Pipeline) -> None:
    pipeline.is_active = False
    pipeline.save()
    with pytest.raises(CommandError, match="paused"):
        run("nightly")


def test_name_in_two_teams_needs_the_team(
    pipeline: Pipeline, other_team: Team, records: Callable[[int], None]
) -> None:
    records(1)
    Pipeline.all_teams.filter(pk=pipeline.pk).get()
    twin = Pipeline.all_teams.get(pk=pipeline.pk)
    twin.pk, twin.team = uuid.uuid4(), other_team
    twin._state.adding = True
    twin.save()
    with pytest.raises(CommandError, match="--team"):
        run("nightly")
    assert "1 rows moved" in run("nightly", "--team", str(pipeline.team_id))
