"""COPY of Parquet from the sandbox's S3, as a cluster would do it and say it."""

import datetime
import io
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import boto3
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

Put = Callable[..., str]

MANY = 20_000


@pytest.fixture
def put(endpoints: dict[str, Any]) -> Iterator[Put]:
    """Puts an object into a folder of the test's own; the URL of it."""
    there = endpoints["s3"]
    client = boto3.client(
        "s3",
        endpoint_url=there["endpoint"],
        region_name=there["region"],
        aws_access_key_id=there["access_key"],
        aws_secret_access_key=there["secret_key"],
        config=Config(request_checksum_calculation="when_required"),
    )
    root, keys = f"tests/{uuid.uuid4().hex}", []

    def place(name: str, body: bytes) -> str:
        keys.append(f"{root}/{name}")
        client.put_object(Bucket=there["bucket"], Key=keys[-1], Body=body)
        return f"s3://{there['bucket']}/{keys[-1]}"

    yield place
    for key in keys:
        client.delete_object(Bucket=there["bucket"], Key=key)


@pytest.fixture
def role(endpoint: dict[str, Any]) -> str:
    return str(endpoint["copy_role"])


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def manifest(*files: tuple[str, bytes]) -> bytes:
    entries = [
        {"url": url, "mandatory": True, "meta": {"content_length": len(body)}}
        for url, body in files
    ]
    return json.dumps({"entries": entries}).encode()


def copy(table: str, url: str, role: str, end: str = " MANIFEST") -> str:
    return f"COPY {table} FROM '{url}' IAM_ROLE '{role}' FORMAT AS PARQUET{end}"


def test_files_of_a_manifest_arrive(
    owner: psycopg.Connection[Any], put: Put, role: str, endpoint: dict[str, Any]
) -> None:
    one, two = parquet(n=range(MANY)), parquet(n=[-1, None])
    url = put("m", manifest((put("one", one), one), (put("two", two), two)))
    put("three", parquet(n=[-2]))
    owner.execute("CREATE TEMP TABLE numbers (n bigint)")
    with owner.transaction():
        assert owner.execute(copy("numbers", url, role)).statusmessage == "COPY"
        counted = owner.execute("SELECT count(*), count(n), min(n), max(n) FROM numbers")
        assert counted.fetchone() == (MANY + 2, MANY + 1, -1, MANY - 1)


def test_values_arrive_exactly(owner: psycopg.Connection[Any], put: Put, role: str) -> None:
    at = datetime.datetime.fromisoformat("1969-12-31T23:59:59.999999")
    body = parquet(
        a=["tab\tline\nback\\slash", "\\N", ""],
        b=pa.array([b"\x00\\\xff", b"", None]),
        c=pa.array([Decimal("0.0000000001"), None, Decimal(-1)], pa.decimal128(38, 10)),
        d=pa.array([at, None, None], pa.timestamp("us", tz="UTC")),
        e=pa.array([datetime.date(1, 1, 1), None, None]),
        f=pa.array([float("nan"), float("-inf"), 5e-324]),
        g=[True, False, None],
    )
    owner.execute(
        "CREATE TEMP TABLE kinds (a VARCHAR(65535), b VARBYTE(1024000), c DECIMAL(38,10), "
        "d TIMESTAMP, e DATE, f DOUBLE PRECISION, g BOOLEAN)"
    )
    owner.execute(copy("kinds", put("x", body), role, end=""))
    rows = owner.execute("SELECT * FROM kinds").fetchall()
    assert [row[0] for row in rows] == ["tab\tline\nback\\slash", "\\N", ""]
    assert [row[1] for row in rows] == [b"\x00\\\xff", b"", None]
    assert [row[2] for row in rows] == [Decimal("0.0000000001"), None, Decimal(-1)]
    assert rows[0][3:5] == (at, datetime.date(1, 1, 1))
    assert [str(row[5]) for row in rows] == ["nan", "-inf", "5e-324"]
    assert [row[6] for row in rows] == [True, False, None]


def test_what_cannot_be_read_loads_nothing_and_says_why(
    owner: psycopg.Connection[Any], put: Put, role: str
) -> None:
    body = parquet(n=[1])
    file = put("one", body)
    good = put("good", manifest((file, body)))
    for url, by, code in [
        (good, role + "-of-others", 30000),
        (good.replace("warehouse-stage", "elsewhere"), role, 8001),
        (good + "-not-there", role, 8001),
        (file, role, 8001),
        (put("no-file", manifest((file, body), (file + "-not-there", body))), role, 8001),
        (put("cut", manifest((file, body + b"more"))), role, 8001),
        (put("no-parquet", manifest((file, body), (good, manifest((file, body))))), role, 15001),
    ]:
        owner.execute("CREATE TEMP TABLE IF NOT EXISTS numbers (n bigint)")
        with pytest.raises(psycopg.errors.InternalError_) as caught:
            owner.execute(copy("numbers", url, by))
        assert f"code:      {code}\n" in str(caught.value.diag.message_detail)
        assert owner.execute("SELECT count(*) FROM numbers").fetchone() == (0,)


def test_columns_are_matched_by_their_place_and_number(
    owner: psycopg.Connection[Any], put: Put, role: str
) -> None:
    url = put("two", parquet(a=[1], b=[2]))
    owner.execute("CREATE TEMP TABLE turned (b bigint, a bigint)")
    owner.execute(copy("turned", url, role, end=""))
    assert owner.execute("SELECT b, a FROM turned").fetchall() == [(1, 2)]
    owner.execute("CREATE TEMP TABLE one (a bigint)")
    with pytest.raises(psycopg.errors.DataError):
        owner.execute(copy("one", url, role, end=""))
    with pytest.raises(psycopg.errors.UndefinedTable):
        owner.execute(copy("nowhere", url, role, end=""))
    assert owner.execute("SELECT 1").fetchone() == (1,)


def test_super_and_getdate(owner: psycopg.Connection[Any]) -> None:
    row = owner.execute("SELECT JSON_PARSE('{\"a\": 1}'), GETDATE()").fetchone()
    assert row is not None
    assert row[0] == {"a": 1}
    assert row[1].microsecond == 0
