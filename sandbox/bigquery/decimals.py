"""How many digits the decimal types keep: DuckDB stops at 38, BigQuery's BIGNUMERIC at 76."""

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

# Half of DuckDB's digits before the point, half after it.
BIGNUMERIC_DIGITS = 19
NUMERIC = (38, 9)
BIGNUMERIC = (38, BIGNUMERIC_DIGITS)
_MOST = (38, 38)


def keep_all_digits() -> None:
    """Make translations to DuckDB spell out the digits of NUMERIC and BIGNUMERIC.

    Otherwise they would keep three and five decimals.
    """
    settings = DuckDB.Generator.TYPE_PARAM_SETTINGS
    settings[exp.DataType.Type.DECIMAL] = (NUMERIC, _MOST)
    settings[exp.DataType.Type.BIGDECIMAL] = (BIGNUMERIC, _MOST)
