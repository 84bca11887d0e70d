"""What becomes of each Postgres type: declared here, held by tests, shown in docs/types.md."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Outcome:
    """A type, or several that fare alike, and what it is in Arrow and so in Parquet."""

    postgres: str
    arrow: pa.DataType | None
    """``None``: that of the type below it."""
    note: str
    """What happens to special values; empty where there are none."""
    examples: tuple[str, ...]
    """As a column's definition has them; ``{schema}`` is that of a type of one's own."""
    native: str | None = None
    """The field's metadata of that name."""


TEXT = pa.string()
DATES = "±infinity, years before 1 and after 9999: quarantine"

OUTCOMES = (
    Outcome("boolean", pa.bool_(), "", ("boolean",)),
    Outcome("smallint, smallserial", pa.int16(), "", ("smallint",)),
    Outcome("integer, serial", pa.int32(), "", ("integer",)),
    Outcome("bigint, bigserial", pa.int64(), "", ("bigint",)),
    Outcome("oid", pa.int64(), "", ("oid",)),
    Outcome(
        "numeric(p, s), p ≤ 38, 0 ≤ s ≤ p, s ≤ 37",
        pa.decimal128(12, 2),
        "exact; NaN: quarantine; Postgres lets it be no infinity",
        ("numeric(12,2)",),
    ),
    Outcome(
        "numeric without precision, p > 38, s < 0, s > 37 or s > p",
        TEXT,
        "text with all its digits, NaN and ±Infinity too: up to 147,455 digits fit no number "
        "anywhere, and a type that holds most values would round the others",
        (
            *("numeric", "numeric(39,0)", "numeric(1000,500)", "numeric(38,38)", "numeric(6,-2)"),
            "numeric(3,5)",
        ),
    ),
    Outcome(
        "real",
        pa.float32(),
        "NaN, ±Infinity and -0 as they are; Snowflake has the same number as a double, and shows "
        "more digits of it",
        ("real",),
    ),
    Outcome("double precision", pa.float64(), "NaN, ±Infinity and -0 as they are", ("float8",)),
    Outcome(
        "text, varchar(n), char(n), name, “char”",
        TEXT,
        "char(n) with its blanks; NUL cannot be in it; in a SQL_ASCII database, text that is not "
        "UTF-8 stops the run (the server refuses to send it)",
        ("text", "varchar(20)", "char(20)", "name", '"char"'),
    ),
    Outcome("bytea", pa.binary(), "empty is not NULL", ("bytea",)),
    Outcome("date", pa.date32(), DATES, ("date",)),
    Outcome("timestamp", pa.timestamp("us"), DATES, ("timestamp",)),
    Outcome(
        "timestamptz",
        pa.timestamp("us", tz="UTC"),
        f"the instant, in UTC, which is all that Postgres keeps; {DATES}",
        ("timestamptz",),
    ),
    Outcome(
        "time, timetz",
        TEXT,
        "text: 24:00:00 is not 00:00:00, and an offset stays",
        ("time", "timetz"),
    ),
    Outcome(
        "interval",
        TEXT,
        "text, IntervalStyle postgres: months, days and µs stay apart; ±infinity too",
        ("interval",),
    ),
    Outcome(
        "money",
        TEXT,
        "text, by the server's lc_monetary: its digits after the point depend on that",
        ("money",),
    ),
    Outcome("uuid", TEXT, "text in lower case", ("uuid",)),
    Outcome(
        "json", TEXT, "the text as it was stored, numbers of any length too", ("json",), "json"
    ),
    Outcome(
        "jsonb",
        TEXT,
        "the text that Postgres makes, numbers of any length too",
        ("jsonb",),
        "jsonb",
    ),
    Outcome(
        "array of any type",
        TEXT,
        "text: {1,NULL}, {{1,2},{3,4}}, {}, [0:1]={1,2}; dates in it may be infinite",
        ("int[]", "text[]", "numeric[]", "float8[]", "date[]"),
    ),
    Outcome("enum", TEXT, "text of the label", ("{schema}.mood",)),
    Outcome(
        "domain",
        None,
        "as the type below it, be it an array or another domain",
        ("{schema}.price", "{schema}.day", "{schema}.numbers", "{schema}.feeling"),
    ),
    Outcome("composite", TEXT, 'text: (1,"a b",); (,) is not NULL', ("{schema}.pair",)),
    Outcome(
        "range, multirange",
        TEXT,
        "text: [1,5), empty, {[1,3),[5,7)}",
        ("int4range", "numrange", "tstzrange", "int4multirange"),
    ),
    Outcome("inet, cidr, macaddr, macaddr8", TEXT, "text", ("inet", "cidr", "macaddr", "macaddr8")),
    Outcome("bit(n), varbit", TEXT, "text of 0 and 1", ("bit(8)", "varbit")),
    Outcome("xml", TEXT, "text as it was stored", ("xml",)),
    Outcome("tsvector, tsquery", TEXT, "text", ("tsvector", "tsquery")),
    Outcome(
        "point, line, lseg, box, path, polygon, circle",
        TEXT,
        "text, with as many digits as a double needs",
        ("point", "line", "lseg", "box", "path", "polygon", "circle"),
    ),
    Outcome(
        "regclass, regtype and their like",
        TEXT,
        "text: the name, with its schema where the search path needs it",
        ("regclass", "regtype"),
    ),
    Outcome(
        "pg_lsn, xid, xid8, tid, pg_snapshot, jsonpath, …",
        TEXT,
        "text",
        ("pg_lsn", "xid", "xid8", "tid", "pg_snapshot", "jsonpath"),
    ),
    Outcome(
        "type of an extension: hstore, citext, geometry, vector, …",
        TEXT,
        "what its own output function writes (PostGIS: EWKB, hexadecimal)",
        ("{schema}.custom", "{schema}.vector"),
    ),
)
