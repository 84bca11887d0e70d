"""Pipelines and what their runs did."""

from etl.models.chunk import Chunk, ChunkState
from etl.models.followed import Followed
from etl.models.pipeline import Deletes, Pipeline, PipelineTable, ReadMode
from etl.models.quarantine import QuarantinedValue
from etl.models.run import PipelineRun, RunStatus, Step, TableRun, Trigger

__all__ = [
    "Chunk",
    "ChunkState",
    "Deletes",
    "Followed",
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
