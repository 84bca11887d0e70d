"""The tables that are moved: TPC-H's lineitem and orders, and values that are hard to move."""

import subprocess
from pathlib import Path
from typing import Any

import psycopg

SCHEMA = "bench_etl"
WARM_UP = "warm_up"
"""A table like lineitem, of few rows."""
TPCH = {
    "lineitem": """l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer,
        l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
        l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL,
        l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL,
        l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL,
        l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL,
        PRIMARY KEY (l_orderkey, l_linenumber)""",
    "orders": """o_orderkey bigint PRIMARY KEY, o_custkey bigint NOT NULL,
        o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL,
        o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL,
        o_shippriority integer NOT NULL, o_comment varchar(79) NOT NULL""",
}
"""As TPC-H 3.0.1 declares them, section 1.4.1, with identifiers of 64 bits."""

HARD = {
    "numeric(15,2)": ["0.10", "NaN"],
    "numeric": ["NaN", "Infinity", "1e-20", "123456789012345678901234567890.5"],
    "date": ["infinity", "0044-03-15 BC", "9999-12-31"],
    "time": ["24:00", "00:00:00.000001"],
    "jsonb": ['{"n": 9007199254740993}'],
    "int4[]": ["{1,NULL}", "{{1,2},{3,4}}"],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789"],
    "timestamp": ["2026-01-02 03:04:05.123456", "-infinity", "290000-01-01"],
    "timestamptz": ["2026-01-02 03:04:05.123456+02"],
    "timetz": ["24:00+15:59"],
    "interval": ["1 mon 2 days -03:04:05.000006"],
    "money": ["-12.34"],
    "json": ['{"a":  1.10, "a": 2}'],
    "bytea": ["", "\\x00ff"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "text[]": ['{"a b",NULL,"NULL"}'],
    "int4range": ["empty", "[1,5)"],
    "inet": ["10.0.0.1/8"],
    "bit(3)": ["101"],
    "xml": ["<a/>"],
    "float8": ["NaN", "5e-324", "-0"],
}
"""Values by type, each type a table of its own: see ``etl_exact``."""


class Source:
    """The Postgres of the sandbox, as its tables' owner."""

    def __init__(self, endpoints: dict[str, Any], tpchgen: Path) -> None:
        self.dsn = str(endpoints["postgres"]["datavault_dsn"])
        self._tpchgen = tpchgen

    def tpch(self, name: str, scale: float) -> str:
        """Make a table of TPC-H, unless an earlier run has; its name."""
        table = f"{SCHEMA}.{name}_{f'{scale:g}'.replace('.', '_')}"
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            _begin(owner)
            there = owner.execute("SELECT to_regclass(%s)", [table]).fetchone()
            if there == (None,):
                self._fill(owner, table, name, scale)
        return table

    def _fill(self, owner: Any, table: str, name: str, scale: float) -> None:
        argv = [self._tpchgen, "csv", "-s", f"{scale:g}", f"--tables={name}", "--stdout"]
        with owner.transaction(), subprocess.Popen(argv, stdout=subprocess.PIPE) as rows:
            owner.execute(f"CREATE TABLE {table} ({TPCH[name]})")
            with owner.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as copy:
                while part := rows.stdout.read(2**18) if rows.stdout else b"":
                    copy.write(part)
            if rows.wait():
                raise RuntimeError(f"tpchgen-cli ended with status {rows.returncode}.")
        owner.execute(f"VACUUM (FREEZE, ANALYZE) {table}")

    def warm_up(self, lineitem: str) -> None:
        """Make that table, out of one of lineitem's."""
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            owner.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{WARM_UP}")
            owner.execute(f"CREATE TABLE {SCHEMA}.{WARM_UP} ({TPCH['lineitem']})")
            owner.execute(f"INSERT INTO {SCHEMA}.{WARM_UP} SELECT * FROM {lineitem} LIMIT 20000")

    def hard(self, count: int) -> dict[str, str]:
        """A table (id, v) for each of the first hard types that the server has; the tables' names
        by type."""
        made = {}
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            _begin(owner)
            for number, (kind, values) in enumerate([*HARD.items()][:count]):
                made[kind] = table = f"{SCHEMA}.hard_{number}"
                owner.execute(f"DROP TABLE IF EXISTS {table}")
                owner.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
                try:
                    for row, value in enumerate(values):
                        owner.execute(f"INSERT INTO {table} VALUES (%s, %s::{kind})", [row, value])
                except psycopg.errors.FeatureNotSupported:
                    # Built without libxml, as the wheel's is.
                    del made[kind]
        return made

    def texts(self, table: str) -> list[str]:
        """The server's own text of each value, in the order of ids."""
        with psycopg.connect(self.dsn, options="-c timezone=UTC") as owner:
            return [text for (text,) in owner.execute(f"SELECT v::text FROM {table} ORDER BY id")]


def _begin(owner: Any) -> None:
    owner.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    owner.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO public")
    owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO public")
