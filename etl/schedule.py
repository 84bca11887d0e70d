"""Schedules: a pipeline's cron fields, kept as a row that Celery beat reads."""

import json

from celery.schedules import ParseException, crontab
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from etl.models import Pipeline

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def parse(text: str) -> dict[str, str]:
    """Cron fields by name; empty for an empty text. Raises ValueError with a sentence."""
    if not text.strip():
        return {}
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError("A schedule has five fields: minute hour day month weekday.")
    fields = dict(zip(FIELDS, parts, strict=True))
    try:
        crontab(**fields)
    except (ParseException, ValueError) as exc:
        raise ValueError(f"The schedule cannot be read: {exc}.") from None
    return fields


def apply(pipeline: Pipeline) -> None:
    """Make beat's row agree with the pipeline."""
    fields = parse(pipeline.schedule)
    if not fields:
        remove(pipeline)
        return
    # Not get_or_create: beat's table lets equal rows in, and then that would always fail.
    same = CrontabSchedule.objects.filter(**fields, timezone="UTC").order_by("pk")
    cron = same.first() or CrontabSchedule.objects.create(**fields, timezone="UTC")
    PeriodicTask.objects.update_or_create(
        name=_name(pipeline),
        defaults={
            "task": "etl.start_scheduled",
            "crontab": cron,
            "kwargs": json.dumps({"pipeline_id": str(pipeline.pk)}),
            "enabled": pipeline.is_active,
        },
    )


def remove(pipeline: Pipeline) -> None:
    """Take beat's row away."""
    PeriodicTask.objects.filter(name=_name(pipeline)).delete()


def _name(pipeline: Pipeline) -> str:
    return f"pipeline {pipeline.pk}"
