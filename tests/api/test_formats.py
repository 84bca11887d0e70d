"""One result in four formats, and how each says that it is not whole."""

import csv
import io
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rest_framework.test import APIClient

from api import formats
from tests.api.shapes import problem, result

pytestmark = pytest.mark.django_db

KINDS = '''
SELECT 1.50::numeric(10, 2) AS price, 'NaN'::float8 AS nan, 9007199254740993::bigint AS big,
       '\\x00ff'::bytea AS raw, '2026-01-02 03:04:05+02'::timestamptz AS at,
       '2026-01-02'::date AS day, true AS yes, NULL::text AS nothing, ''::text AS "a ""name""",
       E'a "b",\\r\\n=1+1' AS word
'''
MEDIA = {
    "json": "application/json",
    "arrow": "application/vnd.apache.arrow.stream",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


@pytest.fixture
def url(shop_url: str) -> str:
    return f"{shop_url}query/"


def get(client: APIClient, url: str, kind: str, sql: str = KINDS) -> Any:
    answer = client.post(f"{url}?format={kind}", {"sql": sql})
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith(MEDIA[kind])
    assert answer["Query-Run-Id"]
    return answer.getvalue()


def test_arrow_and_parquet_have_the_types_and_values(alice: APIClient, url: str) -> None:
    arrow = pa.ipc.open_stream(get(alice, url, "arrow")).read_all()
    parquet = pq.read_table(io.BytesIO(get(alice, url, "parquet")))
    shown = result(alice.post(url, {"sql": KINDS}))["columns"]
    assert [str(field.type) for field in arrow.schema] == [column["type"] for column in shown]
    assert str(arrow.to_pylist()) == str(parquet.to_pylist())
    assert str(arrow["price"][0].as_py()) == "1.50"
    assert arrow["big"][0].as_py() == 9007199254740993


def test_csv_is_exact_and_tells_null_from_empty(alice: APIClient, url: str) -> None:
    text = get(alice, url, "csv").decode()
    head, row = text.split("\r\n", 1)
    assert head.endswith('"nothing","a ""name""","word"')
    assert row == (
        '1.50,NaN,9007199254740993,"AP8=","2026-01-02T01:04:05Z","2026-01-02",true,,"",'
        '"a ""b"",\r\n=1+1"\r\n'
    )
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(line) for line in read] == [10, 10]
    assert read[1][-1] == 'a "b",\r\n=1+1'


def test_csv_of_one_column_has_a_line_for_each_row(
    alice: APIClient, url: str, tmp_path: Path
) -> None:
    text = get(alice, url, "csv", "SELECT n FROM (VALUES (1), (NULL), (3)) AS t (n)")
    assert text == b'"n"\r\n1\r\n""\r\n3\r\n'
    (tmp_path / "rows.csv").write_bytes(text)
    assert pd.read_csv(tmp_path / "rows.csv")["n"].isna().tolist() == [False, True, False]
    assert duckdb.read_csv(str(tmp_path / "rows.csv")).fetchall() == [(1,), (None,), (3,)]


@pytest.mark.parametrize("kind", ["arrow", "csv", "parquet"])
def test_columns_of_one_name_are_told_apart(alice: APIClient, url: str, kind: str) -> None:
    sql = "SELECT 1 AS id, 2 AS id_1, 3 AS id, 'x' AS id"
    body = io.BytesIO(get(alice, url, kind, sql))
    read = {"arrow": lambda b: pa.ipc.open_stream(b).read_all().to_pandas(),
            "csv": pd.read_csv, "parquet": pd.read_parquet}[kind]  # fmt: skip
    assert read(body).to_dict("records") == [{"id": 1, "id_1": 2, "id_2": 3, "id_3": "x"}]
    shown = result(alice.post(url, {"sql": sql}))
    assert [column["name"] for column in shown["columns"]] == ["id", "id_1", "id", "id"]


@pytest.mark.parametrize("kind", MEDIA)
def test_accept_header_chooses_as_well(alice: APIClient, url: str, kind: str) -> None:
    answer = alice.post(url, {"sql": "SELECT 1 AS n"}, headers={"accept": MEDIA[kind]})
    assert answer["Content-Type"].startswith(MEDIA[kind])
    assert answer.getvalue()


def test_result_without_rows_has_its_columns(alice: APIClient, url: str) -> None:
    sql = "SELECT 1::bigint AS n WHERE false"
    assert get(alice, url, "csv", sql) == b'"n"\r\n'
    assert pa.ipc.open_stream(get(alice, url, "arrow", sql)).read_all().num_rows == 0
    assert pq.read_table(io.BytesIO(get(alice, url, "parquet", sql))).schema.names == ["n"]


def test_parquet_is_written_group_by_group(
    alice: APIClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "GROUP_ROWS", 1000)
    body = get(alice, url, "parquet", "SELECT generate_series(1, 9000) AS n")
    file = pq.ParquetFile(io.BytesIO(body))
    assert file.metadata.num_row_groups > 1
    assert file.read()["n"].to_pylist() == list(range(1, 9001))


@pytest.mark.parametrize("kind", MEDIA)
def test_error_before_the_first_row_is_a_problem(alice: APIClient, url: str, kind: str) -> None:
    problem(alice.post(f"{url}?format={kind}", {"sql": "SELECT nope"}), 400, "object_not_found")


def test_format_that_there_is_not_is_refused(alice: APIClient, url: str) -> None:
    refused = problem(alice.post(f"{url}?format=xml", {"sql": "SELECT 1"}), 400, "invalid_input")
    assert refused["fields"] == {"format": "Choose from: json, arrow, csv, parquet."}
    answer = alice.post(url, {"sql": "SELECT 1"}, headers={"accept": "image/png"})
    problem(answer, 406, "not_acceptable")
