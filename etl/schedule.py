"""Schedules: cron fields of a pipeline or a view, kept as a row that Celery beat reads."""

import json

from celery.schedules import ParseException, crontab
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from etl.models import Pipeline
from warehouse.models import View

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


def apply(owner: Pipeline | View) -> None:
    """Make beat's row agree with the pipeline or view."""
    fields = parse(owner.schedule)
    if not fields:
        remove(owner)
        return
    # Not get_or_create: beat's table lets equal rows in, and then that would always fail.
    same = CrontabSchedule.objects.filter(**fields, timezone="UTC").order_by("pk")
    cron = same.first() or CrontabSchedule.objects.create(**fields, timezone="UTC")
    is_view = isinstance(owner, View)
    PeriodicTask.objects.update_or_create(
        name=_name(owner),
        defaults={
            "task": "etl.start_scheduled_view" if is_view else "etl.start_scheduled",
            "crontab": cron,
            "kwargs": json.dumps({"view_id" if is_view else "pipeline_id": str(owner.pk)}),
            "enabled": owner.is_materialized if isinstance(owner, View) else owner.is_active,
        },
    )


def remove(owner: Pipeline | View) -> None:
    """Take beat's row away."""
    PeriodicTask.objects.filter(name=_name(owner)).delete()


def _name(owner: Pipeline | View) -> str:
    return f"{'view' if isinstance(owner, View) else 'pipeline'} {owner.pk}"
