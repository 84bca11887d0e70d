"""The eight tables of TPC-H at a small scale, in each stand-in, by the vendors' own clients."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tests import vendors
from tests.connectors.matrix import MATRIX
from tests.connectors_snowflake.load.loads import bucket_of

SCALE = os.environ.get("TPCH_SF", "0.01")
TABLES = "customer lineitem nation orders part partsupp region supplier".split()
KEYS = {
    "customer": "c_custkey",
    "lineitem": "l_orderkey, l_linenumber",
    "nation": "n_nationkey",
    "orders": "o_orderkey",
    "part": "p_partkey",
    "partsupp": "ps_partkey, ps_suppkey",
    "region": "r_regionkey",
    "supplier": "s_suppkey",
}
Endpoints = Mapping[str, Any]
ROWS = {row.provider: row for row in MATRIX}
TYPES = {
    "postgres": {"int": "bigint", "text": "text", "decimal": "numeric(15, 2)", "date": "date"},
    "snowflake": {
        "int": "BIGINT", "text": "VARCHAR", "decimal": "NUMBER(15, 2)", "date": "DATE",
    },
}  # fmt: skip
TYPES["redshift"] = TYPES["postgres"] | {"text": "varchar(200)"}


def generated(folder: Path, scale: str = SCALE) -> dict[str, pa.Table]:
    """The tables, from the generator that the field uses."""
    tool = Path(sys.executable).with_name("tpchgen-cli")
    args = [str(tool), "parquet", "-s", scale, "--output-dir", str(folder), "--quiet"]
    subprocess.run(args, check=True)
    return {name: _plain(pq.read_table(folder / f"{name}.parquet")) for name in TABLES}


def _plain(table: pa.Table) -> pa.Table:
    """With types that every reader knows."""
    fields = [pa.field(field.name, _plain_type(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.string() if pa.types.is_string_view(kind) else kind


def ddl(provider: str, name: str, table: pa.Table) -> str:
    """CREATE TABLE in a provider's SQL."""
    words = TYPES[provider]
    columns = ", ".join(f"{field.name} {words[_word(field.type)]}" for field in table.schema)
    return f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({KEYS[name.rpartition('.')[2]]}))"


def _word(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "int"
    if pa.types.is_decimal(kind):
        return "decimal"
    return "date" if pa.types.is_date(kind) else "text"


@contextmanager
def filled(
    provider: str,
    endpoints: Endpoints,
    form: dict[str, Any],
    schema: str,
    tables: Mapping[str, pa.Table],
    folder: Path,
) -> Iterator[None]:
    """The schema with the tables exists meanwhile."""
    owner = ROWS[provider].owner(endpoints, form)
    with vendors.EXECUTING[provider](owner) as run:
        run(f"CREATE SCHEMA {schema}")
        try:
            FILLING[provider](run, owner, endpoints, schema, tables, folder)
            yield
        finally:
            run(f"DROP SCHEMA {schema} CASCADE")


def _fill_by_copy(provider: str) -> Any:
    def fill(
        run: Any, owner: Any, endpoints: Any, schema: str, tables: Mapping[str, pa.Table], _: Path
    ) -> None:
        client = vendors.postgres if provider == "postgres" else vendors.redshift
        with client(owner) as connection:
            for name, table in tables.items():
                connection.execute(ddl(provider, f"{schema}.{name}", table))
                _copy(connection, f"{schema}.{name}", table)
                if name == "lineitem":
                    # Two of the queries ask for a part's rows again and again.
                    connection.execute(f"CREATE INDEX ON {schema}.{name} (l_partkey, l_suppkey)")
                connection.execute(f"ANALYZE {schema}.{name}")

    return fill


def _copy(connection: "psycopg.Connection[Any]", name: str, table: pa.Table) -> None:
    rows = io.BytesIO()
    pa_csv.write_csv(table, rows, pa_csv.WriteOptions(include_header=False))
    with connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT CSV)") as copy:
        copy.write(rows.getvalue())


def _fill_snowflake(
    run: Any, owner: Any, endpoints: Any, schema: str, tables: Mapping[str, pa.Table], folder: Path
) -> None:
    bucket = bucket_of(endpoints["s3"])
    run(f"CREATE STAGE {schema}.TPCH_STAGE URL = 's3://{bucket.name}/tests/{schema}/'")
    for name, table in tables.items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        bucket.put_object(Key=f"tests/{schema}/{name}.parquet", Body=buffer.getvalue())
        run(ddl("snowflake", f"{schema}.{name}", table))
        run(
            f"COPY INTO {schema}.{name} FROM @{schema}.TPCH_STAGE FILES = ('{name}.parquet') "
            "FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
    bucket.objects.filter(Prefix=f"tests/{schema}/").delete()


def _fill_bigquery(
    run: Any, owner: Any, endpoints: Any, schema: str, tables: Mapping[str, pa.Table], folder: Path
) -> None:
    from google.cloud import bigquery

    config = bigquery.LoadJobConfig(source_format="PARQUET")
    words = {"int": "INT64", "text": "STRING", "decimal": "NUMERIC", "date": "DATE"}
    with vendors.bigquery(owner) as client:
        for name, table in tables.items():
            columns = ", ".join(f"{f.name} {words[_word(f.type)]}" for f in table.schema)
            key = f"PRIMARY KEY ({KEYS[name]}) NOT ENFORCED"
            run(f"CREATE TABLE {schema}.{name} ({columns}, {key})")
            buffer = io.BytesIO()
            pq.write_table(table, buffer)
            buffer.seek(0)
            with closing(buffer):
                client.load_table_from_file(
                    buffer, f"{schema}.{name}", job_config=config, timeout=60
                ).result(timeout=60)


def _fill_databricks(
    run: Any, owner: Any, endpoints: Any, schema: str, tables: Mapping[str, pa.Table], folder: Path
) -> None:
    for name, table in tables.items():
        pq.write_table(table, folder / f"plain_{name}.parquet")
        path = folder / f"plain_{name}.parquet"
        run(f"CREATE TABLE {schema}.{name} USING PARQUET AS SELECT * FROM parquet.`{path}`")


FILLING = {
    "postgres": _fill_by_copy("postgres"),
    "redshift": _fill_by_copy("redshift"),
    "snowflake": _fill_snowflake,
    "bigquery": _fill_bigquery,
    "databricks": _fill_databricks,
}
