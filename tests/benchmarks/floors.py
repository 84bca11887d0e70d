"""The floor of each provider: its vendor's client used bare, in its best public way.

Each reads a whole query, keeps nothing, and returns rows and, where the client speaks Arrow, bytes.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from tests import vendors
from tests.vendors import Form

FETCH_ROWS = 10_000
ARROW_ROWS = 100_000
STREAM_ROWS = 1_000
Counted = tuple[int, int | None]


def postgres(connection: Any, sql: str) -> Counted:
    """A cursor of the server's, as psycopg advises for large results."""
    with connection.cursor(name="bench") as cursor:
        cursor.execute(sql)
        rows = 0
        while batch := cursor.fetchmany(FETCH_ROWS):
            rows += len(batch)
    return rows, None


def redshift(connection: Any, sql: str) -> Counted:
    """Without a cursor, which Redshift advises against; libpq hands rows over in chunks."""
    with connection.cursor() as cursor:
        return sum(1 for _ in cursor.stream(sql, size=STREAM_ROWS)), None


def snowflake(connection: Any, sql: str) -> Counted:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return _counted(cursor.fetch_arrow_batches())


def bigquery(client: Any, sql: str, storage: Any) -> Counted:
    rows = client.query(sql).result()
    return _counted(rows.to_arrow_iterable(bqstorage_client=storage))


def databricks(connection: Any, sql: str) -> Counted:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return _counted(iter(lambda: cursor.fetchmany_arrow(ARROW_ROWS) or None, None))


def _counted(parts: Iterable[Any]) -> Counted:
    rows = size = 0
    for part in parts:
        if part.num_rows == 0:
            break
        rows += part.num_rows
        size += part.nbytes
    return rows, size


def storage(form: Form) -> Any:
    import grpc
    from google.cloud.bigquery_storage import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read import transports

    options = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(form["storage_endpoint"], options=options)
    return BigQueryReadClient(transport=transports.BigQueryReadGrpcTransport(channel=channel))


Open = Callable[[Form], AbstractContextManager[Any]]
OPEN: dict[str, Open] = {
    "bigquery": vendors.bigquery,
    "databricks": vendors.databricks,
    "postgres": partial(vendors.postgres, autocommit=False),
    "redshift": vendors.redshift,
    # As exact as ours: by default NUMBER(12, 2) arrives as a double.
    "snowflake": partial(vendors.snowflake, arrow_number_to_decimal=True),
}


def reader(provider: str, form: Form) -> Callable[[Any, str], Counted]:
    """What reads a query with the opened client."""
    if provider == "bigquery":
        return partial(bigquery, storage=storage(form))
    readers: dict[str, Callable[[Any, str], Counted]] = {
        "databricks": databricks,
        "postgres": postgres,
        "redshift": redshift,
        "snowflake": snowflake,
    }
    return readers[provider]
