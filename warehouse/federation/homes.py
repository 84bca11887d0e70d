"""Where a query's legs are joined: in the store, or in a warehouse that has nearly all of them.

There, the few rows of all others are sent within the statement: connections only read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from warehouse.connection_config import ConnectionConfig
from warehouse.federation import sizes
from warehouse.federation.given import can_give
from warehouse.federation.leg import FEW_ROWS, TIMES_MORE
from warehouse.federation.legs import Legs, estimates
from warehouse.federation.parts import with_tables
from warehouse.federation.planner import STORE_DIALECT, Planned
from warehouse.federation.relations import STORE
from warehouse.federation.split import Leg, Split, split
from warehouse.hogql import tree
from warehouse.hogql.grouping import groups
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import can_print, print_query
from warehouse.hogql.resolved import Resolved
from warehouse.hogql.types import STRING
from warehouse.runs import total

MOST_ROWS = 10_000
MOST_BYTES = 10**6
"""The most that is sent within a statement, all rows together."""
NO_ROWS = "[]"
PREFIX = "hogql_rows_"
"""No query names a value so."""
Rows = Mapping[tuple[str, ...], float | None]
"""By the path of a leg's table."""


@dataclass(frozen=True)
class Move:
    """``split`` is of the query with the home's own tables in it: its legs are what the store has
    and sends there, be it of its own or brought by others."""

    home: str
    dialect: str
    split: Split
    text: str

    def query(self, given: Mapping[str, str]) -> tree.Query:
        """What the home is asked; ``given`` are rows in JSON, by the tables of their legs."""

        def changed(relation: tree.TableRelation) -> tree.Relation:
            if relation.table.source != STORE:
                return relation
            return tree.CteRelation(relation.at, relation.alias, relation.table.name)

        def cte(leg: Leg) -> tree.Cte:
            at, name = leg.query.at, leg.table.name
            rows = tree.Param(at, STRING, name, given.get(name, NO_ROWS))
            return tree.Cte(at, name, tree.Given(at, leg.query.columns, rows))

        made = with_tables(self.split.query, changed)
        # Once for all, as no system takes a function's rows in any place of a query.
        whole: tree.Query = replace(made, ctes=(*map(cte, self.split.legs), *made.ctes))
        return whole

    def printed(self, given: Mapping[str, str]) -> Printed:
        return print_query(self.query(given), self.dialect, self.text)


def move_of(legs: Legs) -> Move | None:
    """The legs' rows but for those of one connection, and to where they are to be moved."""
    found = legs.found
    if not _is_short(found.query):
        return None
    takers = [source for source, one in found.connections.items() if _takes_rows(one.config)]
    moves = [move for home in takers if (move := move_to(found, legs.split, home)) is not None]
    if not moves:
        return None
    rows = dict(zip([leg.leg.table.path for leg in legs], estimates([*legs]), strict=True))
    return next((move for move in moves if _pays(move, legs.split, rows)), None)


def _takes_rows(config: Mapping[str, object]) -> bool:
    return bool(ConnectionConfig.parse(config).joins_here)


def _is_short(query: tree.Query) -> bool:
    """Its answer has few rows, whatever it joins."""
    if not isinstance(query, tree.Select):
        return False
    return groups(query) or (query.limit is not None and query.limit <= MOST_ROWS)


def move_to(found: Planned, of_store: Split, home: str) -> Move | None:
    """To one that is chosen, whatever it pays; ``None`` where something cannot be given, or not
    be said there, or would be answered otherwise."""
    if any(map(_passes_over_nulls, of_store.query.walk())):
        return None
    own = {leg.table.path: leg.query for leg in of_store.legs if leg.source == home}

    def put_back(relation: tree.TableRelation) -> tree.Relation:
        query = own.get(relation.table.path) if relation.table.source == STORE else None
        return relation if query is None else tree.QueryRelation(relation.at, relation.alias, query)

    whole = with_tables(of_store.query, put_back)
    dialect = found.dialects[home]
    dialects = {STORE: STORE_DIALECT, home: dialect}
    move = Move(home, dialect, split(whole, found.text, dialects, PREFIX, home), found.text)
    is_given = all(can_give(leg.query.columns) for leg in move.split.legs)
    can_move = own and move.split.legs and is_given
    return move if can_move and can_print(move.query({}), dialect, found.text) else None


def _passes_over_nulls(node: Resolved) -> bool:
    """In the store, it does: what is answered shall not hang on where the rows are."""
    return isinstance(node, tree.In) and node.negated and isinstance(node.items, tree.Query)


def _pays(move: Move, of_store: Split, rows: Rows) -> bool:
    """The home has far more rows than come to it."""

    def counted(relation: tree.TableRelation) -> tree.Relation:
        known = rows.get(relation.table.path, relation.table.rows)
        count = None if known is None else round(known)
        return replace(relation, table=replace(relation.table, rows=count))

    many: float | None = total(
        rows[leg.table.path] for leg in of_store.legs if leg.source == move.home
    )
    few: float | None = total(
        sizes.rows_of(with_tables(leg.query, counted)) for leg in move.split.legs
    )
    if many is None or few is None:
        return False
    return many > FEW_ROWS and few <= MOST_ROWS and many >= few * TIMES_MORE
