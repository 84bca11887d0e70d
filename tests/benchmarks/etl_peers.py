"""The peers of ``etl``, each used as its own manual says: ``etl_peers.py WHO DSN FOLDER TABLE …``.

Runs in the peers' environment and imports nothing of ours but its neighbour. Where a manual has
several ways, this is the one that keeps the memory bounded. The rows end up as Parquet in FOLDER.
With several tables each has a folder of its own there, and what fails is told, not timed.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from contender import empty, run_contender, try_each

BATCH_ROWS = 65_536
Counted = tuple[int | None, int | None]


def duckdb(dsn: str, table: str, folder: Path) -> Counted:
    import duckdb
    import duckdb_extension_postgres_scanner

    # From its package: DuckDB itself would download it.
    package = Path(duckdb_extension_postgres_scanner.__file__).parent
    [extension] = package.rglob("postgres_scanner.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"ATTACH '{dsn}' AS source (TYPE postgres, READ_ONLY)")
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    copy = f"COPY source.{table} TO '{folder / 'rows.parquet'}' ({options})"
    row = connection.execute(copy).fetchone()
    return int(row[0]) if row else None, _size(folder)


def connectorx(dsn: str, table: str, folder: Path) -> Counted:
    import connectorx
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = connectorx.read_sql(
        dsn, f"SELECT * FROM {table}", return_type="arrow_stream", batch_size=BATCH_ROWS
    )
    return _written(pa.RecordBatchReader.from_stream(batches), folder, pq)


def adbc(dsn: str, table: str, folder: Path) -> Counted:
    import adbc_driver_postgresql.dbapi
    import pyarrow.parquet as pq

    with adbc_driver_postgresql.dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return _written(cursor.fetch_record_batch(), folder, pq)


def _written(batches: Any, folder: Path, pq: Any) -> Counted:
    rows = 0
    path = folder / "rows.parquet"
    with pq.ParquetWriter(path, batches.schema, compression="zstd", compression_level=1) as out:
        for batch in batches:
            out.write_batch(batch)
            rows += batch.num_rows
    return rows, _size(folder)


def dlt(backend: str, dsn: str, table: str, folder: Path) -> Counted:
    import dlt
    from dlt.sources.sql_database import sql_table

    schema, name = table.split(".")
    driver = "postgresql" if backend == "connectorx" else "postgresql+psycopg"
    url = dsn.replace("postgresql", driver, 1)
    source = sql_table(
        credentials=url,
        table=name,
        schema=schema,
        backend=backend,
        reflection_level="full_with_precision",
        chunk_size=BATCH_ROWS,
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.filesystem(f"file://{folder / 'out'}"),
        dataset_name="rows",
    )
    pipeline.run(source, loader_file_format="parquet", write_disposition="append")
    counts = pipeline.last_trace.last_normalize_info.row_counts
    return counts[name], _size(folder)


def sling(dsn: str, table: str, folder: Path) -> Counted:
    # Its package downloads the program when it is first imported.
    from sling import SLING_BIN

    argv = [SLING_BIN, "run", "--src-conn", f"{dsn}?sslmode=disable", "--src-stream", table]
    return _by_program([*argv, "--tgt-object", f"file://{folder / 'rows.parquet'}"], folder)


def ingestr(dsn: str, table: str, folder: Path) -> Counted:
    # As with sling. It writes no Parquet, but DuckDB's own file.
    argv = [str(Path(sys.executable).with_name("ingestr")), "ingest", "--yes"]
    argv += ["--source-uri", dsn, "--source-table", table]
    argv += ["--dest-uri", f"duckdb:///{folder / 'rows.duckdb'}", "--dest-table", "main.rows"]
    return _by_program(argv, folder)


def _by_program(argv: list[str], folder: Path) -> Counted:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
    return None, _size(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


PEERS: dict[str, Callable[[str, str, Path], Counted]] = {
    "duckdb": duckdb,
    "connectorx": connectorx,
    "adbc": adbc,
    "dlt-connectorx": partial(dlt, "connectorx"),
    "dlt-pyarrow": partial(dlt, "pyarrow"),
    "sling": sling,
    "ingestr": ingestr,
}

if __name__ == "__main__":
    who, dsn, folder, *tables = sys.argv[1:]
    if len(tables) == 1:
        run_contender(partial(PEERS[who], dsn, tables[0], empty(Path(folder))))
    else:
        try_each(partial(PEERS[who], dsn), tables, Path(folder))
