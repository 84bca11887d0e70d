"""Text, in characters, never bytes."""

from sqlglot import exp

from warehouse.hogql.functions.scalar import chained
from warehouse.hogql.functions.table import Function, forms

FUNCTIONS = (
    Function(
        "toString",
        ("whole",),
        "text",
        forms(
            "CAST(_0 AS VARCHAR)",
            bigquery="CAST(_0 AS STRING)",
            clickhouse="toString(_0)",
            databricks="CAST(_0 AS STRING)",
        ),
        "The number's digits.",
    ),
    Function(
        "toString",
        ("date",),
        "text",
        forms(
            "TO_CHAR(_0, 'YYYY-MM-DD')",
            bigquery="FORMAT_DATE('%Y-%m-%d', _0)",
            databricks="CAST(_0 AS STRING)",
            clickhouse="toString(_0)",
        ),
        "As 2026-01-31.",
    ),
    Function("toString", ("text",), "text", forms("_0"), "Itself."),
    Function(
        "concat",
        ("text*",),
        "text",
        forms(chained(exp.DPipe)),
        "One after another; NULL where one is NULL.",
        least=1,
    ),
    Function(
        "lower", ("text",), "text", forms("LOWER(_0)", clickhouse="lowerUTF8(_0)"), "In lower case."
    ),
    Function(
        "upper", ("text",), "text", forms("UPPER(_0)", clickhouse="upperUTF8(_0)"), "In upper case."
    ),
    Function(
        "length",
        ("text",),
        "int",
        forms("LENGTH(_0)", clickhouse="lengthUTF8(_0)"),
        "Number of characters.",
        widens_in=("clickhouse",),
    ),
    Function(
        "substring",
        ("text", "int=", "int="),
        "text",
        forms(
            "SUBSTRING(_0, _1, _2)",
            bigquery="SUBSTR(_0, _1, _2)",
            clickhouse="substringUTF8(_0, _1, _2)",
        ),
        "So many characters from a place on; the first is at 1.",
    ),
    Function(
        "trim",
        ("text",),
        "text",
        forms("TRIM(_0)", bigquery="TRIM(_0, ' ')", clickhouse="trimBoth(_0)"),
        "Without blanks (U+0020) at both ends.",
    ),
    Function(
        "replaceAll",
        ("text", "text", "text"),
        "text",
        forms("REPLACE(_0, _1, _2)", clickhouse="replaceAll(_0, _1, _2)"),
        "With each second replaced by the third.",
    ),
    Function(
        "position",
        ("text", "text"),
        "int",
        forms(
            "STRPOS(_0, _1)",
            snowflake="CHARINDEX(_1, _0)",
            databricks="LOCATE(_1, _0)",
            clickhouse="positionUTF8(_0, _1)",
        ),
        "Where the second first stands in the first, from 1; 0 where it does not.",
        widens_in=("clickhouse",),
    ),
    Function(
        "startsWith",
        ("text", "text"),
        "bool",
        forms(
            "LEFT(_0, LENGTH(_1)) = _1",
            bigquery="STARTS_WITH(_0, _1)",
            snowflake="STARTSWITH(_0, _1)",
            databricks="STARTSWITH(_0, _1)",
            clickhouse="startsWith(_0, _1)",
        ),
        "Begins with.",
    ),
    Function(
        "endsWith",
        ("text", "text"),
        "bool",
        forms(
            "RIGHT(_0, LENGTH(_1)) = _1",
            bigquery="ENDS_WITH(_0, _1)",
            snowflake="ENDSWITH(_0, _1)",
            databricks="ENDSWITH(_0, _1)",
            clickhouse="endsWith(_0, _1)",
        ),
        "Ends with.",
    ),
)
AS_TEXT = Function("text", ("any",), "text", forms(None, clickhouse="toString(_0)"), "Its text.")
UNPADDED = Function(
    "unpadded",
    ("text",),
    "text",
    dict.fromkeys(("databricks", "postgres", "redshift"), "RTRIM(_0)"),
    "Without the blanks that fill a CHAR.",
)
"""No query calls them: columns are read by them."""
