"""A folder in the place of the stage."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.types import StagedFile


class Files:
    """Staged files, in a folder; a load into the store asks for their bytes and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, location: str, name: str) -> str:
        raise NotImplementedError

    def put(self, location: str, name: str, body: bytes) -> None:
        raise NotImplementedError

    def open(self, location: str, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def add(self, table: pa.Table, name: str = "part.parquet") -> StagedFile:
        path = self._folder / name
        pq.write_table(table, path, compression="zstd", store_decimal_as_integer=True)
        body = path.read_bytes()
        return StagedFile(path.name, table.num_rows, len(body), hashlib.sha256(body).hexdigest())
