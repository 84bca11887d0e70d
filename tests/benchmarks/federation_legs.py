"""What each query of TPC-H needs of each table outside the store, found by hand.

The columns that it uses of the rows that a condition on the table alone lets through, those that
only the condition uses, and the condition. One fetch serves a table that a query reads twice.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fetch:
    """``asked`` are columns that only ``where`` uses."""

    table: str
    columns: str
    where: str = ""
    asked: str = ""

    def sql(self, name: str, *, with_asked: bool) -> str:
        """The table is called ``name``; with the columns of the condition, or without them."""
        wanted = f"{self.columns} {self.asked}" if with_asked else self.columns
        condition = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(wanted.split())} FROM {name}{condition}"


def _between(column: str, first: str, last: str) -> str:
    return f"{column} >= DATE '{first}' AND {column} < DATE '{last}'"


PRICE = "l_extendedprice l_discount"
PHONES = "SUBSTR(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17')"
FETCHES: dict[str, tuple[Fetch, ...]] = {
    "q01": (
        Fetch(
            "lineitem",
            f"l_returnflag l_linestatus l_quantity l_tax {PRICE}",
            "l_shipdate <= DATE '1998-09-02'",
            "l_shipdate",
        ),
    ),
    "q02": (
        Fetch("part", "p_partkey p_mfgr", "p_size = 15 AND p_type LIKE '%BRASS'", "p_size p_type"),
        Fetch("partsupp", "ps_partkey ps_suppkey ps_supplycost"),
    ),
    "q03": (
        Fetch("customer", "c_custkey", "c_mktsegment = 'BUILDING'", "c_mktsegment"),
        Fetch(
            "orders",
            "o_orderkey o_custkey o_orderdate o_shippriority",
            "o_orderdate < DATE '1995-03-15'",
        ),
        Fetch("lineitem", f"l_orderkey {PRICE}", "l_shipdate > DATE '1995-03-15'", "l_shipdate"),
    ),
    "q04": (
        Fetch(
            "orders",
            "o_orderkey o_orderpriority",
            _between("o_orderdate", "1993-07-01", "1993-10-01"),
            "o_orderdate",
        ),
        Fetch(
            "lineitem",
            "l_orderkey",
            "l_commitdate < l_receiptdate",
            "l_commitdate l_receiptdate",
        ),
    ),
    "q05": (
        Fetch("customer", "c_custkey c_nationkey"),
        Fetch(
            "orders",
            "o_orderkey o_custkey",
            _between("o_orderdate", "1994-01-01", "1995-01-01"),
            "o_orderdate",
        ),
        Fetch("lineitem", f"l_orderkey l_suppkey {PRICE}"),
    ),
    "q06": (
        Fetch(
            "lineitem",
            PRICE,
            f"{_between('l_shipdate', '1994-01-01', '1995-01-01')} "
            "AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
            "l_shipdate l_quantity",
        ),
    ),
    "q07": (
        Fetch("customer", "c_custkey c_nationkey"),
        Fetch("orders", "o_orderkey o_custkey"),
        Fetch(
            "lineitem",
            f"l_orderkey l_suppkey l_shipdate {PRICE}",
            _between("l_shipdate", "1995-01-01", "1997-01-01"),
        ),
    ),
    "q08": (
        Fetch("part", "p_partkey", "p_type = 'ECONOMY ANODIZED STEEL'", "p_type"),
        Fetch("customer", "c_custkey c_nationkey"),
        Fetch(
            "orders",
            "o_orderkey o_custkey o_orderdate",
            _between("o_orderdate", "1995-01-01", "1997-01-01"),
        ),
        Fetch("lineitem", f"l_orderkey l_partkey l_suppkey {PRICE}"),
    ),
    "q09": (
        Fetch("part", "p_partkey", "p_name LIKE '%green%'", "p_name"),
        Fetch("partsupp", "ps_partkey ps_suppkey ps_supplycost"),
        Fetch("orders", "o_orderkey o_orderdate"),
        Fetch("lineitem", f"l_orderkey l_partkey l_suppkey l_quantity {PRICE}"),
    ),
    "q10": (
        Fetch("customer", "c_custkey c_name c_acctbal c_nationkey c_address c_phone c_comment"),
        Fetch(
            "orders",
            "o_orderkey o_custkey",
            _between("o_orderdate", "1993-10-01", "1994-01-01"),
            "o_orderdate",
        ),
        Fetch("lineitem", f"l_orderkey {PRICE}", "l_returnflag = 'R'", "l_returnflag"),
    ),
    "q11": (Fetch("partsupp", "ps_partkey ps_suppkey ps_supplycost ps_availqty"),),
    "q12": (
        Fetch("orders", "o_orderkey o_orderpriority"),
        Fetch(
            "lineitem",
            "l_orderkey l_shipmode",
            "l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate "
            f"AND l_shipdate < l_commitdate AND "
            f"{_between('l_receiptdate', '1994-01-01', '1995-01-01')}",
            "l_commitdate l_receiptdate l_shipdate",
        ),
    ),
    "q13": (
        Fetch("customer", "c_custkey"),
        Fetch(
            "orders",
            "o_orderkey o_custkey",
            "o_comment NOT LIKE '%special%requests%'",
            "o_comment",
        ),
    ),
    "q14": (
        Fetch("part", "p_partkey p_type"),
        Fetch(
            "lineitem",
            f"l_partkey {PRICE}",
            _between("l_shipdate", "1995-09-01", "1995-10-01"),
            "l_shipdate",
        ),
    ),
    "q15": (
        Fetch(
            "lineitem",
            f"l_suppkey {PRICE}",
            _between("l_shipdate", "1996-01-01", "1996-04-01"),
            "l_shipdate",
        ),
    ),
    "q16": (
        Fetch(
            "part",
            "p_partkey p_brand p_type p_size",
            "p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%' "
            "AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)",
        ),
        Fetch("partsupp", "ps_partkey ps_suppkey"),
    ),
    "q17": (
        Fetch(
            "part",
            "p_partkey",
            "p_brand = 'Brand#23' AND p_container = 'MED BOX'",
            "p_brand p_container",
        ),
        Fetch("lineitem", "l_partkey l_quantity l_extendedprice"),
    ),
    "q18": (
        Fetch("customer", "c_custkey c_name"),
        Fetch("orders", "o_orderkey o_custkey o_orderdate o_totalprice"),
        Fetch("lineitem", "l_orderkey l_quantity"),
    ),
    "q19": (
        Fetch(
            "part",
            "p_partkey p_brand p_container p_size",
            "(p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') "
            "AND p_size BETWEEN 1 AND 5) OR "
            "(p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', "
            "'MED PACK') AND p_size BETWEEN 1 AND 10) OR "
            "(p_brand = 'Brand#34' AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG') "
            "AND p_size BETWEEN 1 AND 15)",
        ),
        Fetch(
            "lineitem",
            f"l_partkey l_quantity {PRICE}",
            "l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON' "
            "AND l_quantity BETWEEN 1 AND 30",
            "l_shipmode l_shipinstruct",
        ),
    ),
    "q20": (
        Fetch("part", "p_partkey", "p_name LIKE 'forest%'", "p_name"),
        Fetch("partsupp", "ps_partkey ps_suppkey ps_availqty"),
        Fetch(
            "lineitem",
            "l_partkey l_suppkey l_quantity",
            _between("l_shipdate", "1994-01-01", "1995-01-01"),
            "l_shipdate",
        ),
    ),
    "q21": (
        Fetch("orders", "o_orderkey", "o_orderstatus = 'F'", "o_orderstatus"),
        Fetch("lineitem", "l_orderkey l_suppkey l_commitdate l_receiptdate"),
    ),
    "q22": (
        Fetch("customer", "c_custkey c_phone c_acctbal", PHONES),
        Fetch("orders", "o_custkey"),
    ),
}
