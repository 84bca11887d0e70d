"""Pipelines and what their runs did."""

from etl.models.alert import (
    AlertChannel,
    AlertDelivery,
    AlertEvent,
    ChannelKind,
    DeliveryStatus,
    Incident,
)
from etl.models.chunk import Chunk, ChunkState
from etl.models.followed import Followed
from etl.models.pipeline import Deletes, Pipeline, PipelineTable, ReadMode
from etl.models.quarantine import QuarantinedValue
from etl.models.run import AT_WORK, OPEN, PipelineRun, RunStatus, Step, TableRun, Trigger

__all__ = [
    "AT_WORK",
    "OPEN",
    "AlertChannel",
    "AlertDelivery",
    "AlertEvent",
    "ChannelKind",
    "Chunk",
    "ChunkState",
    "Deletes",
    "DeliveryStatus",
    "Followed",
    "Incident",
    "Pipeline",
    "PipelineRun",
    "PipelineTable",
    "QuarantinedValue",
    "ReadMode",
    "RunStatus",
    "Step",
    "TableRun",
    "Trigger",
]
