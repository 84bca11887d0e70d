"""What Prometheus is told of pipelines, read from the database: every process answers the same.

Labels are ids: names are a team's own words. What is unknown is left out, never zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.db.models import Count, F, Max, Min, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from etl import lease
from etl.models import Followed, PipelineRun, PipelineTable, RunStatus, Step, TableRun

LABELS = ("team", "pipeline")

Row = Mapping[str, Any]
Value = Callable[[Row], float | None]


def exposition() -> bytes:
    """The text of a scrape."""
    registry = CollectorRegistry()
    registry.register(Pipelines())
    return generate_latest(registry)


class Pipelines(Collector):
    """All pipelines of all teams, in a handful of queries."""

    def collect(self) -> Iterator[Metric]:
        yield from _runs()
        yield from _loads()
        yield from _lags()
        yield from _durations()


def _runs() -> Iterator[Metric]:
    runs = PipelineRun.objects.order_by().values(
        "status", team=F("pipeline__team_id"), of=F("pipeline_id")
    )
    by_status = GaugeMetricFamily("pipeline_runs", "Runs by status.", labels=(*LABELS, "status"))
    for row in runs.annotate(count=Count("pk")):
        by_status.add_metric([str(row["team"]), str(row["of"]), row["status"]], row["count"])
    yield by_status
    held = Q(status=RunStatus.RUNNING) & ~lease.silent()
    rows = _by_pipeline(PipelineRun.objects, "pipeline__").annotate(
        succeeded_at=Max("finished_at", filter=Q(status=RunStatus.SUCCEEDED)),
        attempts=Sum(F("attempts_before") + F("attempt")),
        leases=Count("pk", filter=held),
    )
    yield _gauge(
        "pipeline_last_success_timestamp_seconds",
        "When its last run that succeeded ended.",
        rows,
        lambda row: row["succeeded_at"].timestamp() if row["succeeded_at"] else None,
    )
    yield _counter("pipeline_attempts", "Attempts at runs.", rows, "attempts")
    yield _gauge(
        "pipeline_open_leases", "Runs that a worker holds.", rows, lambda row: row["leases"]
    )


def _loads() -> Iterator[Metric]:
    loaded = TableRun.objects.filter(step=Step.DONE)
    rows = _by_pipeline(loaded, "run__pipeline__").annotate(
        moved=Sum("rows"), bytes=Sum("bytes_staged"), quarantined_values=Sum("quarantined")
    )
    yield _counter("pipeline_rows_moved", "Rows loaded.", rows, "moved")
    yield _counter("pipeline_moved_bytes", "Bytes of Parquet loaded.", rows, "bytes")
    yield _counter(
        "pipeline_quarantined_values",
        "Values that became NULL because they cannot be carried exactly.",
        rows,
        "quarantined_values",
    )


def _lags() -> Iterator[Metric]:
    now = timezone.now()
    tables = _by_pipeline(PipelineTable.objects, "pipeline__").annotate(
        oldest=Min("as_of"), unknown=Count("pk", filter=Q(as_of=None))
    )
    yield _gauge(
        "pipeline_lag_seconds",
        "How old the oldest target is; left out before each table's first load.",
        tables,
        lambda row: None if row["unknown"] else max(0.0, (now - row["oldest"]).total_seconds()),
    )
    followed = Followed.objects.filter(table__isnull=False)
    yield _gauge(
        "pipeline_retained_log_bytes",
        "Log that the source keeps for its tables in mode cdc.",
        _by_pipeline(followed, "table__pipeline__").annotate(kept=Sum("retained_bytes")),
        lambda row: row["kept"],
    )


def _durations() -> Iterator[Metric]:
    ended = PipelineRun.objects.filter(finished_at__isnull=False, started_at__isnull=False)
    newest = ended.order_by("pipeline_id", "-finished_at").distinct("pipeline_id")
    rows = [
        {"team": run.pipeline.team_id, "of": run.pipeline_id, "seconds": run.duration_s}
        for run in newest.select_related("pipeline")
    ]
    yield _gauge(
        "pipeline_last_run_duration_seconds",
        "From start to end of the last run that ended.",
        rows,
        lambda row: row["seconds"],
    )


def _by_pipeline(rows: Any, path: str) -> Any:
    return rows.order_by().values(team=F(f"{path}team_id"), of=F(f"{path}id"))


def _gauge(name: str, text: str, rows: Iterable[Row], value: Value) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=LABELS), rows, value)


def _counter(name: str, text: str, rows: Iterable[Row], column: str) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=LABELS), rows, lambda row: row[column])


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, rows: Iterable[Row], value: Value
) -> Metric:
    for row in rows:
        found = value(row)
        if found is not None:
            family.add_metric([str(row["team"]), str(row["of"])], found)
    return family
