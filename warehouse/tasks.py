"""Celery tasks. Arguments are ids; what a task finds in the database decides what it does.

Each imports what it does when it runs: whatever queues it imports this module.
"""

from celery import shared_task


@shared_task(name="warehouse.refresh_result")
def refresh_result(result_id: str) -> None:
    """Fetch an answer anew that was served beyond its time."""
    from warehouse.hybrid import refresh

    refresh.refresh(result_id)


@shared_task(name="warehouse.execute_query")
def execute_query(run_id: str) -> None:
    """Run a query that outlives its request."""
    from warehouse import background

    background.execute(run_id)


@shared_task(name="warehouse.sweep_cache")
def sweep_cache() -> None:
    """Forget answers that are out of date, and what killed processes have left behind."""
    from warehouse import accounts, background
    from warehouse.federation import tidy
    from warehouse.hybrid import cache

    accounts.end_lost()
    background.forget_expired()
    cache.sweep()
    tidy.sweep()
