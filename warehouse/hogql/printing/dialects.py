"""What differs between the dialects beside functions: types, placeholders, limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as Sqlglot
from sqlglot.errors import ErrorLevel
from sqlglot.generator import Generator

from warehouse.hogql.printing import members
from warehouse.hogql.types import Kind, Type

MARK = re.compile("\x00(\\w+):(\\d+)\x00")
"""Where a value goes, in a text that cannot hold a NUL otherwise."""
NO_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class GivenForm:
    """How rows are read that are given as JSON: ``rows`` is what stands after FROM, of a text
    ``_0``, and ``value`` the text in the place ``{place}`` of one of them."""

    rows: str
    value: str


@dataclass(frozen=True)
class Dialect:
    """Facts about one dialect; ``name`` is sqlglot's, ``label`` what a refusal calls the system."""

    name: str
    label: str
    types: Mapping[Kind, str]
    placeholder: str
    """With the parameter's name and, where it is needed, its type."""
    decimal: str
    utc: str
    """An instant ``_0`` as the clock of UTC shows it."""
    percent_doubled: bool = False
    """The client reads % in a text that has values."""
    offset_needs_limit: bool = False
    sized_decimals: bool = False
    truth_in_numbers: bool = False
    """A condition in a result is 1 or 0."""
    """A decimal of a result has the digits that a cast gives it, else any number of them."""
    frames_rows_only: bool = False
    windows_place_nulls: bool = True
    """In OVER, too, NULLs stand where ORDER BY says; else first where the order ascends."""
    binds_text_with: tuple[str, ...] = ()
    """What a literal may not hold, for server or client could read it in two ways: such a text is
    sent as a value."""
    member: members.Form | None = None
    """What is under a path in a document; NULL where no such thing is there."""
    misses_groups: bool = False
    """A query in the place of a value gives NULL, not a count of 0, where it finds no row."""
    joins_by_keys: bool = False
    """An outer join needs an equality between both sides."""
    mixes_types: bool = False
    """A set of parts of several types has values of either, of which 1 and 1.0 are two, or has
    the fewer digits after the point."""
    binds_arrays: bool = False
    """A value may be a list; of single ones there is room for few."""
    arrays: bool = False
    """They can be written, and functions take lambdas."""
    nests_arrays: bool = False
    """Arrays can be items of arrays, and NULL an item of one in a result."""
    orders_by_queries: bool = True
    """What is ordered by may hold a query in the place of a value."""
    cuts_correlated: bool = True
    """A query that looks at rows around it may be ordered and cut."""
    in_skips_null: bool = False
    """x IN (1, NULL) is false where x is not 1, as if there were no NULL."""
    two_zeros: bool = False
    """0.0 and -0.0 are two keys."""
    rows_compare: bool = True
    """(a, b) IN (SELECT …) can be said."""
    loose_texts: bool = False
    """A text in quotes has no type of its own, which aggregates and windows want."""
    given: GivenForm | None = None

    def type_text(self, kind: Type) -> str:
        if kind.kind == Kind.DECIMAL:
            return self.decimal.format(scale=9 if kind.scale is None else kind.scale)
        if kind.item is not None:
            return f"Array({self.type_text(kind.item)})"
        return self.types[kind.kind]

    def text(self, node: exp.Expr) -> str:
        """The text of a tree: deterministic, every name quoted, every NULLS order said."""
        generator = _explicit(Sqlglot.get_or_raise(self.name).generator_class)(
            dialect=self.name, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE
        )
        made: str = generator.generate(node, copy=False)
        return made


class _SaysNulls:
    """Mixed into a dialect's generator: what it leaves out as a default is said."""

    def ordered_sql(self: Any, node: exp.Ordered) -> str:
        way = " DESC" if node.args.get("desc") else " ASC"
        nulls = " NULLS FIRST" if node.args.get("nulls_first") else " NULLS LAST"
        return f"{self.sql(node, 'this')}{way}{nulls}"


@cache
def _explicit(generator: type[Generator]) -> Any:
    return type(f"Explicit{generator.__name__}", (_SaysNulls, generator), {})


_POSTGRES = {
    Kind.BOOL: "BOOLEAN",
    Kind.INT: "BIGINT",
    Kind.FLOAT: "DOUBLE PRECISION",
    Kind.STRING: "TEXT",
    Kind.DATE: "DATE",
    Kind.DATETIME: "TIMESTAMP",
    Kind.TIMESTAMP: "TIMESTAMPTZ",
}
DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "postgres",
            "Postgres",
            _POSTGRES,
            "%({name})s",
            "DECIMAL(38, {scale})",
            "_0 AT TIME ZONE 'UTC'",
            percent_doubled=True,
            sized_decimals=True,
            loose_texts=True,
            member=members.in_postgres,
            given=GivenForm(
                "JSONB_ARRAY_ELEMENTS(CAST(_0 AS JSONB)) AS given(one)", "given.one ->> {place}"
            ),
        ),
        Dialect(
            "redshift",
            "Redshift",
            _POSTGRES | {Kind.STRING: "VARCHAR(65535)"},
            "%({name})s",
            "DECIMAL(38, {scale})",
            "_0 AT TIME ZONE 'UTC'",
            percent_doubled=True,
            sized_decimals=True,
            frames_rows_only=True,
            loose_texts=True,
            binds_text_with=("'", "\\"),
        ),
        Dialect(
            "snowflake",
            "Snowflake",
            {
                Kind.BOOL: "BOOLEAN",
                Kind.INT: "BIGINT",
                Kind.FLOAT: "DOUBLE",
                Kind.STRING: "VARCHAR",
                Kind.DATE: "DATE",
                Kind.DATETIME: "TIMESTAMP_NTZ",
                Kind.TIMESTAMP: "TIMESTAMP_TZ",
            },
            "?",
            "DECIMAL(38, {scale})",
            "CAST(CONVERT_TIMEZONE('UTC', _0) AS TIMESTAMP_NTZ)",
            mixes_types=True,
            offset_needs_limit=True,
            member=members.in_snowflake,
            given=GivenForm(
                "TABLE(FLATTEN(INPUT => PARSE_JSON(_0))) AS given",
                "CAST(given.VALUE[{place}] AS VARCHAR)",
            ),
        ),
        Dialect(
            "bigquery",
            "BigQuery",
            {
                Kind.BOOL: "BOOL",
                Kind.INT: "INT64",
                Kind.FLOAT: "FLOAT64",
                Kind.STRING: "STRING",
                Kind.DATE: "DATE",
                Kind.DATETIME: "DATETIME",
                Kind.TIMESTAMP: "TIMESTAMP",
            },
            "@{name}",
            "NUMERIC",
            "DATETIME(_0, 'UTC')",
            offset_needs_limit=True,
            member=members.in_bigquery,
            arrays=True,
            rows_compare=False,
            given=GivenForm(
                "UNNEST(JSON_QUERY_ARRAY(_0)) AS given", "JSON_VALUE(given, '$[{place}]')"
            ),
            windows_place_nulls=False,
        ),
        Dialect(
            "databricks",
            "Databricks",
            {
                Kind.BOOL: "BOOLEAN",
                Kind.INT: "BIGINT",
                Kind.FLOAT: "DOUBLE",
                Kind.STRING: "STRING",
                Kind.DATE: "DATE",
                Kind.DATETIME: "TIMESTAMP_NTZ",
                Kind.TIMESTAMP: "TIMESTAMP",
            },
            ":{name}",
            "DECIMAL(38, {scale})",
            "CONVERT_TIMEZONE(CURRENT_TIMEZONE(), 'UTC', CAST(_0 AS TIMESTAMP_NTZ))",
            binds_text_with=("%(",),
            given=GivenForm(
                "EXPLODE(FROM_JSON(_0, 'array<array<string>>')) AS given(one)",
                "GET(given.one, {place})",
            ),
        ),
        Dialect(
            "clickhouse",
            "the store",
            {
                Kind.BOOL: "Nullable(Bool)",
                Kind.INT: "Nullable(Int64)",
                Kind.FLOAT: "Nullable(Float64)",
                Kind.STRING: "Nullable(String)",
                Kind.DATE: "Nullable(Date32)",
                Kind.DATETIME: "Nullable(DateTime64(6, 'UTC'))",
                Kind.TIMESTAMP: "Nullable(DateTime64(6, 'UTC'))",
                Kind.JSON: "Nullable(String)",
            },
            "{{{name}:{type}}}",
            "Nullable(Decimal(38, {scale}))",
            "toTimezone(_0, 'UTC')",
            member=members.in_clickhouse,
            misses_groups=True,
            joins_by_keys=True,
            mixes_types=True,
            binds_arrays=True,
            arrays=True,
            nests_arrays=True,
            orders_by_queries=False,
            cuts_correlated=False,
            in_skips_null=True,
            two_zeros=True,
            truth_in_numbers=True,
        ),
    )
}
CLICKHOUSE_SETTINGS: Mapping[str, int] = {
    "aggregate_functions_null_for_empty": 1,
    "join_use_nulls": 1,
}
"""With these, ClickHouse's outer joins and empty aggregates give NULL, as everywhere else."""
