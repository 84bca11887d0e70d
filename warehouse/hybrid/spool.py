"""A copy of an answer on its way to where it is kept."""

from tempfile import SpooledTemporaryFile
from typing import IO

import pyarrow as pa
import structlog

log = structlog.get_logger(__name__)

MEMORY_BYTES = 2**20
"""More than that is in a file, which has no name and is gone with its process."""


class Spool:
    """Batches as Arrow's stream, exactly as they came; it never fails its writer.

    It is whole while it has all of them: one of more than ``most_bytes`` is not copied on.
    """

    def __init__(self, schema: pa.Schema, most_bytes: float) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 closed by close()
        self._writer = pa.ipc.new_stream(self._file, schema)
        self._most_bytes = most_bytes
        self.is_whole = True
        self.size_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        if self.is_whole:
            try:
                self._writer.write_batch(batch)
                self.is_whole = self._file.tell() <= self._most_bytes
            except (OSError, pa.ArrowException) as exc:
                self.is_whole = False
                log.warning("cached_result.not_copied", error=type(exc).__name__)

    def finish(self) -> IO[bytes]:
        """The whole stream, to be read from its beginning; raises OSError."""
        self._writer.close()
        self.size_bytes = self._file.tell()
        # Without a batch there is an end, too.
        self.is_whole = self.is_whole and self.size_bytes <= self._most_bytes
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()
