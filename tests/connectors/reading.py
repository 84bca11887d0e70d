"""Whole tables read through ``Extract``, chunk after chunk in one session."""

from collections.abc import Generator
from contextlib import closing
from typing import Any

import pyarrow as pa

from connectors.abilities import Extract, ReadPlan
from connectors.quarantine import Quarantine
from connectors.types import Watermark

CHUNK_BYTES = 2**28


def batches_of(
    source: Extract, plan: ReadPlan, quarantine: Quarantine | None = None
) -> Generator[pa.RecordBatch]:
    """What the plan lays out; the snapshot is let go at the end."""
    try:
        for bounds in plan.chunks:
            with closing(source.read(plan, bounds, plan.since, "", quarantine)) as batches:
                yield from batches
    finally:
        source.release()


def read_table(
    source: Extract,
    schema: str,
    table: str,
    since: Watermark | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[ReadPlan, list[tuple[Any, ...]]]:
    """The plan and its rows, in the order they came."""
    plan = source.plan(schema, table, since, chunk_bytes)
    rows = [tuple(row.values()) for batch in batches_of(source, plan) for row in batch.to_pylist()]
    return plan, rows
