"""Dates and times. An instant is read as UTC, whatever the session's zone."""

from warehouse.hogql.functions.table import Function, forms

PARTS = {"toYear": "year", "toQuarter": "quarter", "toMonth": "month", "toDayOfMonth": "day"}
CLOCK_PARTS = {"toHour": "hour", "toMinute": "minute"}
STARTS = {"toStartOfYear": "year", "toStartOfQuarter": "quarter", "toStartOfMonth": "month"}
CLOCK_STARTS = {"toStartOfDay": "day", "toStartOfHour": "hour", "toStartOfMinute": "minute"}
BEGINNINGS = {unit: name for name, unit in (STARTS | {"toMonday": "week"} | CLOCK_STARTS).items()}
"""By the unit that it is of: what ``date_trunc`` is."""
DATE_STEPS = {"Year": "year", "Month": "month", "Week": "week", "Day": "day"}
CLOCK_STEPS = DATE_STEPS | {"Hour": "hour", "Minute": "minute", "Second": "second"}


def _part(name: str, part: str, takes: str) -> Function:
    return Function(
        name,
        (takes,),
        "int",
        forms(f"CAST(EXTRACT({part} FROM _0) AS BIGINT)", clickhouse=f"{name}(_0)"),
        f"The {part}.",
    )


def _start(name: str, unit: str) -> Function:
    return Function(
        name,
        ("as_date",),
        "date",
        forms(
            f"CAST(DATE_TRUNC('{unit}', _0) AS DATE)",
            bigquery=f"CAST(DATE_TRUNC(_0, {unit}) AS DATE)",
            clickhouse=f"{name}(_0)",
        ),
        f"The first day of the {unit}; ``date_trunc('{unit}', x)`` is the same.",
    )


def _clock_start(name: str, unit: str) -> Function:
    return Function(
        name,
        ("as_datetime",),
        "datetime",
        forms(
            f"DATE_TRUNC('{unit}', _0)",
            bigquery=f"DATETIME_TRUNC(_0, {unit})",
            # Its own result has no fraction of a second, and the session's zone.
            clickhouse=f"toDateTime64({name}(_0), 6, 'UTC')",
            databricks=f"CAST(DATE_TRUNC('{unit}', _0) AS TIMESTAMP_NTZ)",
        ),
        f"The first moment of the {unit}; ``date_trunc('{unit}', x)`` is the same.",
    )


def _days_before(days: str) -> str:
    return f"CAST(DATE_SUB(_0, INTERVAL {days} DAY) AS DATE)"


def _step(name: str, unit: str, *, on_date: bool, back: bool) -> Function:
    sign, takes = "-" if back else "+", "date" if on_date else "as_datetime"
    amount = "-(_1)" if back else "_1"
    added = f"_0 {sign} _1 * INTERVAL '1 {unit}'"
    if unit == "week":
        amount, unit_of_amount = f"{amount} * 7", "day"
    else:
        unit_of_amount = unit
    kind = "DATE" if on_date else "DATETIME"
    moved = f"DATEADD({unit_of_amount}, {amount}, _0)"
    return Function(
        name,
        (takes, "whole"),
        "date" if on_date else "datetime",
        forms(
            None,
            postgres=f"CAST({added} AS DATE)" if on_date else added,
            redshift=f"CAST({added} AS DATE)" if on_date else added,
            bigquery=f"CAST({kind}_{'SUB' if back else 'ADD'}(_0, INTERVAL _1 {unit}) AS {kind})",
            snowflake=f"CAST({moved} AS DATE)" if on_date else moved,
            databricks=f"CAST({moved} AS DATE)" if on_date else f"CAST({moved} AS TIMESTAMP_NTZ)",
            clickhouse=f"{name}(_0, _1)",
        ),
        f"So many {unit}s {'earlier' if back else 'later'}; the last day of a month at most.",
    )


def _steps() -> list[Function]:
    found = []
    for prefix, back in (("add", False), ("subtract", True)):
        found += [
            _step(f"{prefix}{name}s", unit, on_date=True, back=back)
            for name, unit in DATE_STEPS.items()
        ]
        found += [
            _step(f"{prefix}{name}s", unit, on_date=False, back=back)
            for name, unit in CLOCK_STEPS.items()
        ]
    return found


FUNCTIONS = (
    *(_part(name, part, "as_date") for name, part in PARTS.items()),
    *(_part(name, part, "as_datetime") for name, part in CLOCK_PARTS.items()),
    Function(
        "toDayOfWeek",
        ("as_date",),
        "int",
        forms(
            None,
            postgres="CAST(EXTRACT(isodow FROM _0) AS BIGINT)",
            redshift="CAST(MOD(CAST(EXTRACT(dow FROM _0) AS BIGINT) + 6, 7) + 1 AS BIGINT)",
            bigquery="MOD(EXTRACT(DAYOFWEEK FROM _0) + 5, 7) + 1",
            snowflake="DAYOFWEEKISO(_0)",
            databricks="WEEKDAY(_0) + 1",
            clickhouse="toDayOfWeek(_0)",
        ),
        "1 on Mondays, 7 on Sundays.",
    ),
    *(_start(name, unit) for name, unit in STARTS.items()),
    Function(
        "toMonday",
        ("as_date",),
        "date",
        forms(
            "CAST(DATE_TRUNC('week', _0) AS DATE)",
            bigquery=_days_before("MOD(EXTRACT(DAYOFWEEK FROM _0) + 5, 7)"),
            # DATE_TRUNC there begins weeks as the session's WEEK_START says.
            snowflake="CAST(DATEADD(day, 1 - DAYOFWEEKISO(_0), _0) AS DATE)",
            clickhouse="toMonday(_0)",
        ),
        "The Monday on or before; ``date_trunc('week', x)`` is the same.",
    ),
    Function(
        "toStartOfWeek",
        ("as_date",),
        "date",
        forms(
            None,
            postgres="CAST(DATE_TRUNC('week', _0 + 1) AS DATE) - 1",
            redshift="CAST(DATE_TRUNC('week', _0 + 1) AS DATE) - 1",
            bigquery=_days_before("(EXTRACT(DAYOFWEEK FROM _0) - 1)"),
            snowflake="CAST(DATEADD(day, -MOD(DAYOFWEEKISO(_0), 7), _0) AS DATE)",
            databricks="DATE_SUB(_0, MOD(WEEKDAY(_0) + 1, 7))",
            clickhouse="toStartOfWeek(_0, 0)",
        ),
        "The Sunday on or before.",
    ),
    *(_clock_start(name, unit) for name, unit in CLOCK_STARTS.items()),
    *_steps(),
    Function(
        "daysBetween",
        ("as_date", "as_date"),
        "int",
        forms(
            None,
            postgres="_1 - _0",
            redshift="_1 - _0",
            bigquery="DATE_DIFF(_1, _0, DAY)",
            snowflake="DATEDIFF(day, _0, _1)",
            databricks="DATEDIFF(_1, _0)",
            clickhouse="dateDiff('day', _0, _1)",
        ),
        "Days from the first to the second; ``dateDiff('day', a, b)`` is the same.",
    ),
    Function("toDate", ("as_date",), "date", forms("_0"), "The day, of an instant in UTC."),
    Function(
        "toDate",
        ("text",),
        "date",
        # Of text that is none, a cast to a type with NULL would make NULL.
        forms(
            "CAST(_0 AS DATE)",
            clickhouse="CAST(parseDateTime64(_0, '%Y-%m-%d') AS Nullable(Date32))",
        ),
        "Of text as 2026-01-31.",
    ),
    Function("toDateTime", ("as_datetime",), "datetime", forms("_0"), "The moment, in UTC."),
    Function(
        "now",
        (),
        "timestamp",
        forms(
            "CURRENT_TIMESTAMP",
            bigquery="CURRENT_TIMESTAMP()",
            snowflake="CURRENT_TIMESTAMP()",
            redshift="GETDATE() AT TIME ZONE 'UTC'",
            databricks="CURRENT_TIMESTAMP()",
            clickhouse="now64(6, 'UTC')",
        ),
        "This moment.",
    ),
    Function(
        "today",
        (),
        "date",
        forms(
            None,
            postgres="CAST(CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS DATE)",
            redshift="CAST(GETDATE() AS DATE)",
            bigquery="CURRENT_DATE('UTC')",
            snowflake="CAST(CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP()) AS DATE)",
            databricks="CAST(CONVERT_TIMEZONE(CURRENT_TIMEZONE(), 'UTC', "
            "CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_NTZ)) AS DATE)",
            clickhouse="CAST(now64(6, 'UTC') AS Date32)",
        ),
        "This day, in UTC.",
    ),
)
