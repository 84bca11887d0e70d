"""Small tables of random rows, the same in each system: NULLs, twins, ends of ranges, no rows."""

import datetime
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa

from tests import vendors
from tests.hogql.expressions import WORDS, literal
from tests.hogql.tpch_tables import ROWS

SIZES = {"t0": 12, "t1": 9, "t2": 5, "t3": 0}
COLUMNS = ("k", "n", "m", "d", "w", "day", "last", "f")
SCHEMA = pa.schema(
    [
        ("k", pa.int64()), ("n", pa.int64()), ("m", pa.int64()), ("d", pa.decimal128(9, 2)),
        ("w", pa.string()), ("day", pa.date32()), ("last", pa.date32()), ("f", pa.float64()),
    ]
)  # fmt: skip
_POSTGRES = ("bigint", "numeric(9, 2)", "text", "date", "double precision")
TYPES = {
    "postgres": _POSTGRES,
    "redshift": _POSTGRES,
    "snowflake": ("BIGINT", "NUMBER(9, 2)", "VARCHAR", "DATE", "FLOAT"),
    "bigquery": ("INT64", "NUMERIC", "STRING", "DATE", "FLOAT64"),
    "databricks": ("BIGINT", "DECIMAL(9, 2)", "STRING", "DATE", "DOUBLE"),
}
KEYS = {"bigquery": ", PRIMARY KEY (k) NOT ENFORCED", "databricks": ""}
ENDS = [datetime.date(1900, 1, 1), datetime.date(1970, 1, 1), datetime.date(2299, 12, 31)]
DAYS = [datetime.date(2024, 2, 29), datetime.date(2023, 12, 31), datetime.date(2026, 1, 31)]
DECIMALS = [Decimal("0.10"), Decimal("0.20"), Decimal("-0.30"), Decimal("9999999.99"), Decimal(0)]
FLOATS = [0.0, -0.0, 0.1, 0.3, -2.5]


def of_seed(seed: int) -> dict[str, pa.Table]:
    """The tables by their names; ``k`` is the key of each."""
    random = Random(seed)
    return {name: _table(random, size) for name, size in SIZES.items()}


def _table(random: Random, size: int) -> pa.Table:
    def column(values: list[Any]) -> list[Any]:
        return [random.choice([*values, None]) for _ in range(size)]

    few = [*range(-1, 5)]
    columns = [column(one) for one in (few, [*few, 2**31], DECIMALS, WORDS, DAYS, ENDS, FLOATS)]
    keys = random.sample(range(1, size + 3), size)
    return pa.table([keys, *columns], SCHEMA)


@contextmanager
def filled(
    provider: str, endpoints: Mapping[str, Any], form: dict[str, Any], sets: list[int]
) -> Iterator[str]:
    """The schema that has the tables of these seeds meanwhile, as ``t0_1`` for the seed 1."""
    name = ROWS[provider].fold(f"fuzz_{uuid.uuid4().hex[:8]}")
    with ExitStack() as stack:
        run = stack.enter_context(
            vendors.EXECUTING[provider](ROWS[provider].owner(endpoints, form))
        )
        run(f"CREATE SCHEMA {name}")
        stack.callback(run, f"DROP SCHEMA {name} CASCADE")
        for seed in sets:
            for table, rows in of_seed(seed).items():
                _fill(run, provider, f"{name}.{table}_{seed}", rows)
        yield name


def _fill(run: vendors.Execute, provider: str, name: str, rows: pa.Table) -> None:
    whole, decimal, text, day, number = TYPES[provider]
    types = (whole, whole, whole, decimal, text, day, day, number)
    columns = ", ".join(map(" ".join, zip(COLUMNS, types, strict=True)))
    run(f"CREATE TABLE {name} ({columns}{KEYS.get(provider, ', PRIMARY KEY (k)')})")
    values = [
        f"({', '.join(_written(value, number) for value in row.values())})"
        for row in rows.to_pylist()
    ]
    if values:
        run(f"INSERT INTO {name} VALUES {', '.join(values)}")


def _written(value: object, number: str) -> str:
    match value:
        case None:
            return "NULL"
        case float():
            return f"CAST('{value}' AS {number})"
        case datetime.date():
            return f"DATE '{value}'"
        case str():
            return literal(value)
    return str(value)
