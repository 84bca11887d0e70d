"""From SQL text to something that can be priced and run: parameters, names, rights."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp

from sandbox.bigquery import constants
from sandbox.bigquery import parameters as query_parameters
from sandbox.bigquery.constants import Constant
from sandbox.bigquery.ddl import TableFacts, take_facts
from sandbox.bigquery.dialect import mend
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.errors import (
    ApiError,
    dataset_not_found,
    invalid,
    permission_denied,
    table_denied,
    table_not_found,
)
from sandbox.bigquery.fields import data_type
from sandbox.bigquery.metadata import STORED, Metadata
from sandbox.bigquery.metadata_schemas import TABLES_META
from sandbox.bigquery.settings import Account
from sandbox.bigquery.sizes import Ref
from sandbox.bigquery.statements import Kind, Statement, TableName, parse, tables, unqualified

# The dataset of query results; like Google's it is hidden by its underscore.
RESULTS = "_results"

# Where tables stand that only exist for one statement, until it is printed.
PASSING = "__passing"
_CHANGES_ROWS = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
_DEPTH_OF_VIEWS = 16


@dataclass
class Resolved:
    """A statement whose tables exist and may be used by whoever sent it."""

    statement: Statement
    project: str
    catalog: Any
    changed: bool = False
    stored: list[TableName] = field(default_factory=list)
    metadata_views: dict[str, pa.Table] = field(default_factory=dict)
    results: dict[str, pa.Table] = field(default_factory=dict)
    facts: list[TableFacts] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)

    @property
    def passing_tables(self) -> dict[str, pa.Table]:
        """Tables that the connection has to be given besides what is stored."""
        return self.metadata_views | self.results

    @property
    def refs(self) -> list[Ref]:
        return list(dict.fromkeys((one.project, one.dataset, one.table) for one in self.stored))

    @property
    def cannot_be_priced(self) -> bool:
        """Whether columns alone do not tell what is read: old versions and earlier results."""
        return bool(self.results) or any(
            one.node.args.get("version") or one.node.args.get("when") for one in self.stored
        )

    def matches(self, ref: Ref) -> list[Ref]:
        """Return the tables that a name with a wildcard stands for, or the one table it names."""
        project, dataset, table = ref
        if not table.endswith("*"):
            return [ref]
        prefix = table[:-1]
        names = sorted(one.table_id for one in self.catalog.list_tables(project, dataset))
        # As the emulator sees it, the wildcard stands for one character at least.
        return [
            (project, dataset, one) for one in names if one.startswith(prefix) and one != prefix
        ]

    @property
    def may_skip(self) -> bool:
        """Whether BigQuery might read less than all rows: partitions, clusters, wildcards."""
        return any(one.is_wildcard for one in self.stored) or any(
            meta is not None
            and (meta.time_partitioning or meta.range_partitioning or meta.clustering)
            for meta in (self.catalog.get_table(*ref) for ref in self.refs)
        )

    def sql(self) -> str:
        """Return the SQL for the emulator: as it came, unless something had to be put in."""
        if not self.changed:
            return self.statement.text
        trees = [tree.copy() for tree in self.statement.trees]
        for tree in trees:
            for node in tree.find_all(exp.Table):
                if node.catalog == PASSING:
                    node.set("catalog", None)
                    node.set("db", None)
        return ";\n".join(tree.sql(dialect="bigquery") for tree in trees)

    def readable_tree(self) -> exp.Expr | None:
        """Return a copy of what is read, fully qualified and without views; None if nothing is."""
        tree: exp.Expr | None = self.statement.tree
        if self.statement.kind is not Kind.QUERY and tree is not None:
            is_view = isinstance(tree, exp.Create) and tree.kind != "TABLE"
            tree = None if is_view else tree.args.get("expression")
        if not isinstance(tree, exp.Query):
            return None
        return _without_views(tree.copy(), self.project, self.catalog, _DEPTH_OF_VIEWS)

    def columns(self) -> dict[Ref, dict[str, str]]:
        """Return column → type for every table that can be read."""
        tree = self.readable_tree()
        found: dict[Ref, dict[str, str]] = {}
        for name in tables(tree, self.project) if tree is not None else ():
            ref = (name.project, name.dataset, name.table)
            matching = self.matches(ref)
            meta = self.catalog.get_table(*matching[-1]) if matching else None
            if meta is not None:
                found[ref] = {one.name: data_type(one) for one in meta.schema_.fields}
                found[ref] |= {"_TABLE_SUFFIX": "STRING"} if name.is_wildcard else {}
        for view, table in self.passing_tables.items():
            found[PASSING, PASSING, view] = dict.fromkeys(table.schema.names, "STRING")
        return found


class Resolver:
    """Resolves statements against one emulator's catalog."""

    def __init__(
        self,
        emulator: Emulator,
        metadata: Metadata,
        result_table: Callable[[str, Account], pa.Table],
        project: str,
    ) -> None:
        self._catalog = emulator.catalog
        self._metadata = metadata
        self._result_table = result_table
        self._project = project

    def resolve(
        self,
        sql: str,
        account: Account,
        parameters: Iterable[Mapping[str, Any]] = (),
        default_dataset: Mapping[str, str] | None = None,
    ) -> Resolved:
        """Parse and check a statement or script; raise the ApiError BigQuery would answer with."""
        statement = parse(sql)
        resolved = Resolved(statement, self._project, self._catalog)
        resolved.changed = query_parameters.put_in(statement, parameters)
        if statement.kind is Kind.QUERY:
            resolved.constants = constants.take(statement.tree)
            resolved.changed |= bool(resolved.constants)
        for tree in statement.trees:
            if statement.kind is not Kind.SCRIPT:
                resolved.changed |= mend(tree)
            resolved.changed |= self._qualify(statement, tree, default_dataset)
        names = [name for tree in statement.trees for name in tables(tree, self._project)]
        self._check_rights(statement, names, account)
        resolved.facts = list(take_facts(statement.trees, names))
        resolved.changed |= any(one.has_keys for one in resolved.facts)
        for name in names:
            self._place(name, resolved, account)
        self._check_existence(resolved, account)
        return resolved

    def _qualify(
        self, statement: Statement, tree: exp.Expr, default: Mapping[str, str] | None
    ) -> bool:
        nodes = unqualified(tree)
        if not default or not default.get("datasetId"):
            if nodes and (statement.kind is Kind.QUERY or isinstance(tree, _CHANGES_ROWS)):
                raise invalid(
                    f'Table "{nodes[0].name}" must be qualified with a dataset '
                    "(e.g. dataset.table)."
                )
            return False
        for node in nodes:
            node.set("catalog", _quoted(default.get("projectId") or self._project))
            node.set("db", _quoted(default["datasetId"]))
        return bool(nodes)

    def _check_rights(self, statement: Statement, names: list[TableName], account: Account) -> None:
        for name in names:
            if name.dataset in account.denied_datasets:
                raise table_denied(name.project, name.dataset, name.table)
        if not statement.may_write or account.can_write:
            return
        target = names[0] if names else None
        if target is None:
            raise permission_denied("bigquery.routines.update", f"Project {self._project}")
        where = f"{target.project}:{target.dataset}"
        if isinstance(statement.tree, _CHANGES_ROWS):
            raise permission_denied("bigquery.tables.updateData", f"Table {where}.{target.table}")
        if isinstance(statement.tree, exp.Drop):
            raise permission_denied("bigquery.tables.delete", f"Table {where}.{target.table}")
        raise permission_denied("bigquery.tables.create", f"Dataset {where}")

    def _place(self, name: TableName, resolved: Resolved, account: Account) -> None:
        view = TABLES_META if name.table == TABLES_META else name.view_of_metadata
        passing = f"passing_{len(resolved.passing_tables)}"
        if view is not None:
            table = self._metadata.table(view, name.project, name.dataset, account)
            resolved.metadata_views[passing] = table
        elif name.dataset == RESULTS:
            resolved.results[passing] = self._result_table(name.table, account)
        else:
            resolved.stored.append(name)
            return
        if not name.node.alias:
            name.node.set("alias", exp.TableAlias(this=_quoted(view or name.table)))
        for part, value in (("this", passing), ("db", PASSING), ("catalog", PASSING)):
            name.node.set(part, _quoted(value))
        resolved.changed = True

    def _check_existence(self, resolved: Resolved, account: Account) -> None:
        tree = resolved.statement.tree
        if resolved.statement.kind is Kind.SCRIPT:
            return
        for name in resolved.stored:
            must_exist = resolved.statement.kind is Kind.QUERY or isinstance(tree, _CHANGES_ROWS)
            if must_exist or _is_a_source(name.node, tree):
                self._check_one(name, resolved, account, _DEPTH_OF_VIEWS)

    def _check_one(self, name: TableName, resolved: Resolved, account: Account, depth: int) -> None:
        if name.dataset in account.denied_datasets:
            raise table_denied(name.project, name.dataset, name.table)
        if self._catalog.get_dataset(name.project, name.dataset) is None:
            raise dataset_not_found(name.project, name.dataset)
        if name.is_wildcard:
            if not resolved.matches((name.project, name.dataset, name.table)):
                where = f"{name.project}:{name.dataset}.{name.table}"
                raise invalid(f"{where} does not match any table.")
            return
        meta = self._catalog.get_table(name.project, name.dataset, name.table)
        if meta is None:
            raise table_not_found(name.project, name.dataset, name.table)
        if meta.table_type == "VIEW" and depth:
            for inner in tables(_body(meta), meta.project_id):
                self._check_one(inner, resolved, account, depth - 1)


def is_stored(meta: Any) -> bool:
    """Tell a table, which has rows and bytes of its own, from a view."""
    return meta.table_type in STORED


def as_api_error(error: Any) -> ApiError:
    """Turn bqemulator's error into ours; what it calls internal is not for the client to retry."""
    if error.http_status >= 500:
        return ApiError(501, "notImplemented", f"The BigQuery stand-in: {error.message}")
    # A moment out of reach of FOR SYSTEM_TIME AS OF; Google has no reason of its own for it.
    reason = "invalid" if error.bq_reason == "outOfRange" else error.bq_reason
    location = error.location or ("query" if reason == "invalidQuery" else None)
    return ApiError(error.http_status, reason, error.message, location)


def _is_a_source(node: exp.Table, tree: exp.Expr) -> bool:
    source = tree.args.get("expression")
    return isinstance(source, exp.Query) and any(node is one for one in source.find_all(exp.Table))


def _without_views(tree: exp.Query, project: str, catalog: Any, depth: int) -> exp.Query:
    for name in list(tables(tree, project)):
        name.node.set("catalog", _quoted(name.project))
        name.node.set("db", _quoted(name.dataset))
        name.node.set("this", _quoted(name.table))
        meta = catalog.get_table(name.project, name.dataset, name.table)
        if meta is None or meta.table_type != "VIEW" or not depth:
            continue
        body = _without_views(_body(meta), meta.project_id, catalog, depth - 1)
        name.node.replace(body.subquery(name.node.alias or name.table, copy=False))
    return tree


def _body(meta: Any) -> exp.Query:
    body = sqlglot.parse_one(meta.view_query, read="bigquery")
    if not isinstance(body, exp.Query):
        raise invalid(f"View {meta.dataset_id}.{meta.table_id} holds no query.")
    return body


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)
