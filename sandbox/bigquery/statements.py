"""What a piece of SQL is, a query, a write or a script, and which tables it names."""

import enum
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from sandbox.bigquery.errors import invalid, invalid_query, not_offered

# sqlglot warns about each statement that it hands on as text; that is expected here.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_INFORMATION_SCHEMA = "INFORMATION_SCHEMA."
_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.TruncateTable,
    exp.Create,
    exp.Drop,
    exp.Alter,
)
_NEEDS_GOOGLE = (exp.Export, exp.LoadData, exp.Grant)
_LONGEST = 1024 * 1024
_STEERING = (exp.Transaction, exp.Commit, exp.Rollback, exp.Command)
_HARMLESS_IN_A_SCRIPT = (exp.Query, exp.Declare, exp.Set)
# Statements that sqlglot does not take apart, and that bqemulator runs all the same.
_PASSED_ON = frozenset(
    {"ALTER", "BEGIN", "CALL", "CREATE", "DROP", "EXECUTE", "IF", "LOOP", "REPEAT", "WHILE"}
)
_DDL = frozenset({"ALTER", "CREATE", "DROP"})


class Kind(enum.Enum):
    QUERY = "query"
    WRITE = "write"
    SCRIPT = "script"


@dataclass(frozen=True)
class TableName:
    """A table as a statement names it; `node` is the place where it does.

    CREATE SCHEMA and its like name a dataset: then `table` is empty.
    """

    project: str
    dataset: str
    table: str
    node: exp.Table

    @property
    def view_of_metadata(self) -> str | None:
        """The name behind INFORMATION_SCHEMA, in upper case."""
        upper = self.table.upper()
        return upper.removeprefix(_INFORMATION_SCHEMA) if _INFORMATION_SCHEMA in upper else None

    @property
    def is_wildcard(self) -> bool:
        return self.table.endswith("*")


@dataclass(frozen=True)
class Statement:
    """Parsed SQL. `trees` may be changed in place; `text` is what the client sent."""

    text: str
    kind: Kind
    trees: tuple[exp.Expr, ...]

    @property
    def tree(self) -> exp.Expr:
        return self.trees[0]

    @property
    def may_write(self) -> bool:
        """Whether running it needs more than the right to read."""
        if self.kind is Kind.QUERY:
            return False
        return not all(isinstance(tree, _HARMLESS_IN_A_SCRIPT) for tree in self.trees)

    @property
    def is_one_transaction(self) -> bool:
        """Whether it is a script that begins a transaction, commits it last, and catches nothing
        in between."""
        first, between, last = self.trees[0], self.trees[1:-1], self.trees[-1]
        is_whole = isinstance(first, exp.Transaction) and isinstance(last, exp.Commit)
        return is_whole and not any(isinstance(tree, _STEERING) for tree in between)


def parse(sql: str) -> Statement:
    """Parse GoogleSQL; raise ApiError with BigQuery's wording when it is not that."""
    if not sql.strip():
        raise invalid("Required parameter is missing: query")
    if len(sql) > _LONGEST:
        raise invalid(
            "The query is too large. The maximum standard SQL query length is 1024.00K characters, "
            "including comments and white space characters."
        )
    try:
        trees = tuple(tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None)
    except ParseError as error:
        raise invalid_query(_syntax_error(error)) from error
    except TokenError as error:
        raise invalid_query("Syntax error: Unclosed string literal") from error
    if not trees:
        raise invalid("Required parameter is missing: query")
    return Statement(sql, _kind(trees), trees)


def tables(tree: exp.Expr, project: str) -> Iterator[TableName]:
    """Yield the stored tables that a statement names; unqualified names are left out.

    Raises ApiError for a table function that BigQuery does not have.
    """
    for node in tree.find_all(exp.Table):
        if isinstance(node.this, exp.Func):
            _check_table_function(node)
        elif node.db or _INFORMATION_SCHEMA in node.name.upper():
            yield _name(node, project)


def unqualified(tree: exp.Expr) -> list[exp.Table]:
    """Return the tables named without a dataset that no WITH clause explains."""
    explained = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    return [
        node
        for node in tree.find_all(exp.Table)
        if isinstance(node.this, exp.Identifier)
        and not node.db
        and node.name not in explained
        and _INFORMATION_SCHEMA not in node.name.upper()
    ]


def position(sql: str, word: str) -> str:
    """Return BigQuery's ` at [line:column]` for the first place of a word, or nothing."""
    start = sql.lower().find(word.lower())
    if not word or start < 0:
        return ""
    line = sql.count("\n", 0, start) + 1
    column = start - (sql.rfind("\n", 0, start) + 1) + 1
    return f" at [{line}:{column}]"


def _kind(trees: tuple[exp.Expr, ...]) -> Kind:
    if len(trees) > 1:
        return Kind.SCRIPT
    (tree,) = trees
    if isinstance(tree, exp.Select) and not tree.expressions:
        raise invalid_query("Syntax error: SELECT list must not be empty at [1:1]")
    if isinstance(tree, exp.Query):
        return Kind.QUERY
    if isinstance(tree, _WRITES):
        return Kind.WRITE
    if isinstance(tree, _NEEDS_GOOGLE):
        raise not_offered(f"{tree.sql('bigquery').split(' ', 1)[0]} is not offered.")
    if isinstance(tree, exp.Command) and str(tree.this).upper() in _PASSED_ON:
        return Kind.WRITE if str(tree.this).upper() in _DDL else Kind.SCRIPT
    if isinstance(tree, (exp.Declare, exp.Set, exp.Transaction, exp.Commit, exp.Rollback)):
        return Kind.SCRIPT
    raise invalid_query(f"Syntax error: Unexpected statement {tree.sql('bigquery')[:60]} at [1:1]")


def _name(node: exp.Table, project: str) -> TableName:
    if not node.name:
        qualified = ".".join(part for part in (node.catalog, node.db) if part).split(".")
        owner, dataset = [project, *qualified][-2:]
        return TableName(owner, dataset, "", node)
    if _INFORMATION_SCHEMA in node.name.upper():
        return TableName(node.catalog or project, node.db, node.name, node)
    # `project.dataset` may stand in one pair of backquotes, before the table.
    parts = ".".join(part for part in (node.catalog, node.db, node.name) if part).split(".")
    owner, dataset, table = [project, *parts][-3:]
    return TableName(owner, dataset, table, node)


def _check_table_function(node: exp.Table) -> None:
    function = node.this
    name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
    if name.upper() == "EXTERNAL_QUERY":
        raise not_offered("EXTERNAL_QUERY is not offered.")
    if not node.db:
        raise invalid_query(f"Table-valued function not found: {name.lower()}")


def _syntax_error(error: ParseError) -> str:
    (first, *_) = error.errors or [{}]
    word = str(first.get("highlight") or "")
    if not first.get("line"):
        return f"Syntax error: {error}"
    column = max(1, int(first.get("col") or 1) - len(word) + 1)
    unexpected = f'Unexpected "{word}"' if word else "Unexpected end of statement"
    return f"Syntax error: {unexpected} at [{first['line']}:{column}]"
