"""Whether a view can be refreshed in part: bucket by bucket, and what keeps it from that."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from warehouse.events.tables import EVENTS
from warehouse.federation.conditions import all_of, conjuncts
from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.functions.table import Function, Use
from warehouse.hogql.resolved import same
from warehouse.hogql.types import BOOL, INT, Kind, Type

KINDS = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.INT, Kind.STRING)
"""Of buckets: their values are equal or not, without a doubt."""
ROWS, SUM = "__bucket_rows", "__bucket_sum"
"""Columns beside those of the view: of how many rows of its table each of its rows was made, and
the sum of 64 bits of each of those."""
HASHES = Function(
    "sumOfHashes",
    ("any",),
    "int",
    {"clickhouse": "sum(cityHash64(_0))"},
    "Another number for other rows.",
    Use.AGGREGATE,
)
CHANGING = ("now", "today")


@dataclass(frozen=True)
class Parts:
    """A query whose buckets are independent: what it says of one depends on those rows of its
    table alone that ``bucket`` puts there."""

    query: tree.Select
    relation: tree.TableRelation
    bucket: tree.Expr

    def marked(self) -> tree.Select:
        """The query, with what each of its rows was made of."""
        return _with_items(self.query, (*self.query.items, *self._marks()))

    def only(self, buckets: list[object]) -> tree.Select:
        """The same, of these buckets alone."""
        query = self.marked()
        return replace(query, where=all_of([*conjuncts(query.where), self._among(buckets)]))

    def summary(self) -> tree.Select:
        """What each bucket is made of by now."""
        at = self.query.at
        items = (tree.Item(at, "bucket", self.bucket), *self._marks())
        asked = tree.Select(at, (), items, self.query.joins, where=self.query.where)
        return _with_items(replace(asked, group_by=(self.bucket,)), items)

    def _marks(self) -> Iterator[tree.Item]:
        at = self.query.at
        one = tree.Literal(at, INT, 1)
        columns = tuple(
            tree.Column(at, kind, self.relation.alias, name) for name, kind in self._telling()
        )
        values = tree.Tuple(at, Type(Kind.OTHER), (one, *columns))
        yield tree.Item(at, ROWS, tree.Call(at, INT, named("count")[0], ()))
        yield tree.Item(at, SUM, tree.Call(at, INT, HASHES, (values,)))

    def _telling(self) -> list[tuple[str, Type]]:
        """The columns that tell one version of a row from another: of events the id and when it
        was written, of other tables all that the query reads."""
        table = self.relation.table
        if table.is_events and not EVENTS.mapped():
            return [one for one in table.columns if one[0] in (EVENTS.key, EVENTS.version)]
        read = {node.name for node in self.query.walk() if isinstance(node, tree.Column)}
        return [one for one in table.columns if one[0] in read]

    def _among(self, buckets: list[object]) -> tree.Expr:
        at, bucket = self.query.at, self.bucket
        items = tuple(
            tree.Param(at, bucket.type, f"bucket_{number}", value)
            for number, value in enumerate(buckets)
            if value is not None
        )
        among: tree.Expr = tree.Literal(at, BOOL, value=False)
        if items:
            among = tree.In(at, BOOL, bucket, items, negated=False)
        if None not in buckets:
            return among
        nothing = tree.Call(at, BOOL, named("isNull")[0], (bucket,))
        return tree.Call(at, BOOL, named("or")[0], (among, nothing))


def _with_items(query: tree.Select, items: tuple[tree.Item, ...]) -> tree.Select:
    columns = tuple((item.name, item.expr.type) for item in items)
    return replace(query, items=items, columns=columns)


def parts(query: tree.Query, column: str) -> Parts | list[str]:
    """The query by the buckets of one of its columns; or what keeps it from that, in sentences."""
    if not isinstance(query, tree.Select):
        return ["It is a set of queries (UNION, INTERSECT or EXCEPT)."]
    bucket = next((item.expr for item in query.items if item.name == column), None)
    if bucket is None:
        return [f"Its result has no column {column}."]
    found = [*_of_source(query), *_of_bucket(query, column, bucket), *_of_clauses(query)]
    relation = query.joins[0].relation if query.joins else None
    if found or not isinstance(relation, tree.TableRelation):
        return found
    return Parts(query, relation, bucket)


def _of_source(query: tree.Select) -> Iterator[str]:
    """Rows of one table whose every change shows in the store."""
    if not query.joins:
        yield "It reads no table."
    for join in query.joins[1:]:
        yield f"It joins {join.relation.alias}: a change there is in any bucket."
    for join in query.joins[:1]:
        match join.relation:
            case tree.QueryRelation(view=str(name)) if name:
                yield f"It reads the view {name}, which is not materialized."
            case tree.TableRelation(table=table) if table.source:
                yield f"{table} is read in its warehouse, whose changes do not show; sync it."
            case tree.TableRelation():
                pass
            case _:
                yield "It reads a query in FROM: have that materialized as a view."
    if sum(isinstance(node, tree.Query) for node in replace(query, joins=()).walk()) > 1:
        yield "It has a query within it: a change there is in any bucket."


def _of_bucket(query: tree.Select, column: str, bucket: tree.Expr) -> Iterator[str]:
    if not any(same(bucket, one) for one in query.group_by):
        yield f"It does not GROUP BY {column}."
    if bucket.type.kind not in KINDS:
        yield f"{column} is a {bucket.type}, which is no bucket."
    if any(
        isinstance(node, tree.Window) and not any(same(bucket, one) for one in node.partition_by)
        for node in query.walk()
    ):
        yield f"It has a window that is not PARTITION BY {column}."
    for name, _ in query.columns:
        if name in (ROWS, SUM):
            yield f"A column is called {name}."


def _of_clauses(query: tree.Select) -> Iterator[str]:
    clauses = {
        "DISTINCT": query.distinct or None,
        "HAVING": query.having,
        "QUALIFY": query.qualify,
        "LIMIT": query.limit,
        "LIMIT BY": query.limit_by,
        "OFFSET": query.offset,
    }
    # What these leave out cannot be told by its rows any more.
    for clause in (name for name, value in clauses.items() if value is not None):
        yield f"It has {clause}."
    called = {node.function.name for node in query.walk() if isinstance(node, tree.Call)}
    for name in CHANGING:
        if name in called:
            yield f"It calls {name}(), which is never the same."
