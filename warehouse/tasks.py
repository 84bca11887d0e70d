"""Celery tasks. Arguments are ids; what a task finds in the database decides what it does."""

from celery import shared_task


@shared_task(name="warehouse.refresh_result")
def refresh_result(result_id: str) -> None:
    """Fetch an answer anew that was served beyond its time."""
    from warehouse.hybrid import refresh

    refresh.refresh(result_id)


@shared_task(name="warehouse.sweep_cache")
def sweep_cache() -> None:
    """Forget answers that are out of date, and what killed processes have left in the store."""
    from warehouse.federation import tidy
    from warehouse.hybrid import cache

    cache.sweep()
    tidy.sweep()
