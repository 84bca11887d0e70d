"""The Storage Read API through Google's client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import types

from .conftest import Client, StorageClient, rows

ROWS = 200_000
PARENT = "projects/sandbox-project"


@pytest.fixture(scope="module")
def big(admin: Client) -> Iterator[str]:
    """A table of 200,000 rows × 8 columns."""
    rows(admin, "CREATE SCHEMA big")
    rows(
        admin,
        f"""CREATE TABLE big.t AS SELECT i, MOD(i, 7) AS small, CONCAT('row-', CAST(i AS STRING)) AS
            name, i / 3 AS part, CAST(i AS NUMERIC) / NUMERIC '4' AS price,
            DATE_ADD(DATE '2026-01-01', INTERVAL MOD(i, 1000) DAY) AS day,
            TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL i SECOND) AS at,
            MOD(i, 2) = 0 AS even FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS i""",
    )
    yield "big.t"
    rows(admin, "DROP SCHEMA big CASCADE")


def open_session(client: StorageClient, table: str, streams: int = 1, **options: Any) -> Any:
    dataset, _, name = table.partition(".")
    wanted = types.ReadSession(
        table=f"{PARENT}/datasets/{dataset}/tables/{name}",
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(**options),
    )
    return client.create_read_session(parent=PARENT, read_session=wanted, max_stream_count=streams)


def test_a_result_of_200000_rows_streams_in_order(
    reader: Client, big: str, storage: Callable[[], StorageClient]
) -> None:
    found = reader.query(f"SELECT * FROM {big} ORDER BY i").result()
    batches = list(found.to_arrow_iterable(bqstorage_client=storage()))
    assert len(batches) > 10
    assert {batch.num_columns for batch in batches} == {8}
    numbers = [number for batch in batches for number in batch.column("i").to_pylist()]
    assert numbers == list(range(1, ROWS + 1))


def test_a_table_is_read_without_a_query(
    reader: Client, big: str, storage: Callable[[], StorageClient]
) -> None:
    found = reader.list_rows(big).to_arrow(bqstorage_client=storage())
    assert found.num_rows == ROWS
    assert found.column("price").to_pylist()[:2] == [0.25, 0.5]


def test_streams_share_the_rows(big: str, storage: Callable[[], StorageClient]) -> None:
    client = storage()
    session = open_session(client, big, streams=4, selected_fields=["i"])
    parts = [
        client.read_rows(stream.name).to_arrow(session).column("i").to_pylist()
        for stream in session.streams
    ]
    assert len(parts) == 4
    assert sorted(number for part in parts for number in part) == list(range(1, ROWS + 1))


def test_reading_goes_on_where_it_broke_off(big: str, storage: Callable[[], StorageClient]) -> None:
    client = storage()
    session = open_session(client, big, selected_fields=["i"])
    stream = client.read_rows(session.streams[0].name, offset=ROWS - 5)
    assert stream.to_arrow(session).column("i").to_pylist() == list(range(ROWS - 4, ROWS + 1))


def test_columns_and_rows_can_be_chosen(big: str, storage: Callable[[], StorageClient]) -> None:
    client = storage()
    session = open_session(
        client, big, selected_fields=["i", "name"], row_restriction="even AND i <= 4"
    )
    found = client.read_rows(session.streams[0].name).to_arrow(session)
    assert found.to_pylist() == [{"i": 2, "name": "row-2"}, {"i": 4, "name": "row-4"}]


def test_an_empty_result_has_its_schema(
    reader: Client, storage: Callable[[], StorageClient]
) -> None:
    found = reader.query("SELECT plan_id, name FROM analytics.plans WHERE FALSE").result()
    table = found.to_arrow(bqstorage_client=storage())
    assert (table.num_rows, table.schema.names) == (0, ["plan_id", "name"])


@pytest.mark.parametrize(
    "restriction",
    [
        "i IN (SELECT 1)",
        "TRUE; DROP TABLE big.t",
        "TRUE ORDER BY i",
        "nope = 1",
        "TRUE LIMIT 1",
        ")",
    ],
)
def test_a_restriction_is_only_a_condition(
    big: str, storage: Callable[[], StorageClient], restriction: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        open_session(storage(), big, row_restriction=restriction)


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ("analytics.nope", exceptions.NotFound),
        ("_results.anon0", exceptions.NotFound),
        ("restricted.salaries", exceptions.PermissionDenied),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(
    storage: Callable[[], StorageClient], table: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        open_session(storage(), table)


def test_a_stream_that_is_not_there_is_not_found(
    storage: Callable[[], StorageClient],
) -> None:
    with pytest.raises(exceptions.NotFound):
        list(storage().read_rows("projects/p/locations/US/sessions/s/streams/0", retry=None))


def test_rows_cannot_be_written_over_grpc(storage: Callable[[], StorageClient]) -> None:
    channel = storage().transport.grpc_channel
    method = "/google.cloud.bigquery.storage.v1.BigQueryWrite/CreateWriteStream"
    with pytest.raises(Exception, match="UNIMPLEMENTED"):
        channel.unary_unary(method)(b"", timeout=5)
