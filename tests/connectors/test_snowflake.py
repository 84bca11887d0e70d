"""What is Snowflake's own, on the sandbox that all tests share: parameters, estimates, limits."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import DataError, InvalidParameters, QueryCancelled, QueryTimeout
from tests.connectors.helpers import rows_of
from tests.connectors.matrix import snowflake_session

PROVIDER = "snowflake"


def test_variant_arrives_as_text(connector: Connector) -> None:
    found = connector.query("SELECT PARSE_JSON('{\"a\": 12345678901234567890}') AS V").read_all()
    assert found.schema.field("V").type == pa.string()
    assert json.loads(found.to_pylist()[0]["V"]) == {"a": 12345678901234567890}


def test_value_that_cannot_be_computed_is_an_error(connector: Connector) -> None:
    with pytest.raises(DataError):
        connector.query("SELECT 'x'::NUMBER AS V").read_all()
    assert rows_of(connector, "SELECT 1 AS ONE") == [(1,)]


def test_named_parameters_are_refused(connector: Connector) -> None:
    with pytest.raises(InvalidParameters):
        connector.query("SELECT ? AS V", {"a": 1})


@pytest.mark.parametrize("value", ["'; DROP TABLE t; --", "\\", "?", "%s", "é🙂", ""])
def test_value_is_a_value_whatever_it_says(connector: Connector, value: str) -> None:
    assert rows_of(connector, "SELECT CAST(? AS VARCHAR) AS V", [value]) == [(value,)]


def test_estimate_is_rough_and_a_range(connector: Connector, endpoints: dict[str, Any]) -> None:
    with snowflake_session(endpoints) as cursor:
        cursor.execute("CREATE OR REPLACE TABLE PRICED AS SELECT 1 AS A")
        estimate = connector.estimate("SELECT * FROM PRICED")
        cursor.execute("DROP TABLE PRICED")
    assert estimate.basis == "rough"
    assert estimate.bytes_scanned
    # A minute of a warehouse that this query alone wakes.
    assert estimate.cost_high == Decimal("0.066667")


def test_reading_after_cancel_ends(connector: Connector) -> None:
    with connector.query(
        "SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => 9))", run_id="r"
    ) as r:
        assert connector.cancel("r")
        with pytest.raises(QueryCancelled):
            list(r)
    assert rows_of(connector, "SELECT 1 AS ONE") == [(1,)]


def test_fraction_of_a_second_is_still_a_limit(connector: Connector) -> None:
    endless = (
        "SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
        "TABLE(GENERATOR(ROWCOUNT => 10000000)) b"
    )
    with pytest.raises(QueryTimeout):
        connector.query(endless, limits=Limits(timeout_s=0.2)).read_all()
