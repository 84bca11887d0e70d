"""COPY INTO a table from files of a stage: all or none of them, and none twice."""

from dataclasses import dataclass

import duckdb
from fakesnow.copy_into import handle_csv
from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.bucket import StagedFile
from sandbox.snowflake.catalog import INFORMATION
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.copy_options import CopyOptions, read_options
from sandbox.snowflake.duck import one
from sandbox.snowflake.duckdb_errors import explain_error
from sandbox.snowflake.errors import SqlError, compilation, missing, unsupported
from sandbox.snowflake.facts import Column, read_columns, read_table
from sandbox.snowflake.names import TableName, fold, literal, quote
from sandbox.snowflake.parse import target_of, written_name
from sandbox.snowflake.results import Result
from sandbox.snowflake.stages import locate

_LOADED_BEFORE = "File was loaded before."
_COLUMNS = [
    ResultColumn("file"),
    ResultColumn("status"),
    ResultColumn("rows_parsed", "FIXED", 38, 0),
    ResultColumn("rows_loaded", "FIXED", 38, 0),
    ResultColumn("error_limit", "FIXED", 38, 0),
    ResultColumn("errors_seen", "FIXED", 38, 0),
    ResultColumn("first_error"),
    ResultColumn("first_error_line", "FIXED", 38, 0),
    ResultColumn("first_error_character", "FIXED", 38, 0),
    ResultColumn("first_error_column_name"),
]


@dataclass(frozen=True)
class _Target:
    name: TableName
    stored: TableName
    table_id: str
    columns: list[Column]
    database: str


def copy_into(context: Context, statement: exp.Copy) -> Result:
    """Load files into a table; raises SqlError and loads nothing when one of them fails."""
    source = statement.args["files"][0]
    if not isinstance(source, exp.Table) or not isinstance(source.this, exp.Var | exp.Literal):
        raise unsupported("COPY INTO from a query")
    if statement.args["kind"] is False or target_of(statement) is None:
        raise unsupported("COPY INTO a stage")
    target = _target(context, statement)
    location = locate(context, source.this.name)
    options = read_options(statement, location.file_format)
    found = _files(context, location.url, options)

    with context.session.atomic():
        rows = _load_all(context, target, options, found)
    if not rows:
        return results.status("Copy executed with 0 files processed.", results.COPY)
    return results.table_of(_COLUMNS, rows, results.COPY)


def _load_all(
    context: Context, target: _Target, options: CopyOptions, files: list[StagedFile]
) -> list[list[object]]:
    rows: list[list[object]] = []
    size = 0
    for file in files:
        if options.size_limit is not None and size >= options.size_limit and rows:
            break
        if row := _load(context, target, options, file):
            rows.append(row)
            size += file.size
    return rows


def _target(context: Context, statement: exp.Copy) -> _Target:
    table = target_of(statement)
    if table is None:
        raise unsupported("COPY INTO a stage")
    name = context.name_of(table)
    stored = context.session.stored(name)
    facts = read_table(context.duck, stored)
    if facts is None:
        raise missing("Table", written_name(table))
    columns = read_columns(context.duck, stored)
    if isinstance(statement.this, exp.Schema):
        by_name = {column.name: column for column in columns}
        wanted = [fold(one) or "" for one in statement.this.expressions]
        for one in wanted:
            if one not in by_name:
                raise compilation("000904", "42000", f"invalid identifier '{one}'")
        columns = [by_name[one] for one in wanted]
    return _Target(name, stored, facts.id, columns, name.database)


def _files(context: Context, url: str, options: CopyOptions) -> list[StagedFile]:
    bucket = context.account.bucket
    if options.files:
        base = url if url.endswith("/") else f"{url}/"
        found = []
        for name in options.files:
            context.job.check()
            file = bucket.file(f"{base}{name}")
            if file is None:
                raise _not_found(f"{base}{name}")
            found.append(file)
        return found
    files = [file for file in bucket.files(url) if not file.key.endswith("/")]
    if options.pattern is not None:
        # Snowflake matches the whole path after the stage's own place.
        files = [file for file in files if options.pattern.fullmatch(file.key)]
    return files


def _load(
    context: Context, target: _Target, options: CopyOptions, file: StagedFile
) -> list[object] | None:
    context.job.check()
    if not options.force and _loaded_before(context, target, file):
        if not options.files:
            return None
        return [file.url, "LOAD_SKIPPED", 0, 0, None, 1, _LOADED_BEFORE, None, None, None]
    try:
        query = _query(context, target, options, file)
        columns = ", ".join(quote(column.name) for column in target.columns)
        ((inserted,),) = context.run(f"INSERT INTO {target.stored.sql} ({columns}) {query}")
    except duckdb.Error as error:
        context.job.check()
        raise _in_file(error, file, options) from error
    loaded = int(inserted)
    one(
        context.duck,
        f"INSERT INTO {quote(target.database)}.{INFORMATION}.loads "
        "(table_id, schema_name, table_name, file_name, etag, row_count) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [target.table_id, target.name.schema, target.name.table, file.url, file.etag, loaded],
    )
    return [file.url, "LOADED", loaded, loaded, 1, 0, None, None, None, None]


def _loaded_before(context: Context, target: _Target, file: StagedFile) -> bool:
    found = one(
        context.duck,
        f"SELECT 1 FROM {quote(target.database)}.{INFORMATION}.loads "
        "WHERE table_id = ? AND file_name = ? AND etag = ? LIMIT 1",
        [target.table_id, file.url, file.etag],
    )
    return found is not None


def _query(context: Context, target: _Target, options: CopyOptions, file: StagedFile) -> str:
    if options.kind == "PARQUET":
        return _parquet(context, target, options, file)
    if options.kind == "JSON":
        _need_single_variant(target, "JSON")
        return f"SELECT json FROM read_json_objects({literal(file.url)})"
    reader = handle_csv(options.file_format).read_expression(file.url)
    reader.append("expressions", exp.EQ(this=exp.var("all_varchar"), expression=exp.true()))
    return f"SELECT * FROM {reader.sql(dialect='duckdb')}"


def _parquet(context: Context, target: _Target, options: CopyOptions, file: StagedFile) -> str:
    source = f"read_parquet({literal(file.url)})"
    types = {name: kind for name, kind, *_ in context.run(f"DESCRIBE SELECT * FROM {source}")}
    if options.match == "NONE":
        _need_single_variant(target, "PARQUET")
        pairs = ", ".join(f"{literal(name)}, {quote(name)}" for name in types)
        return f"SELECT json_object({pairs}) FROM {source}"
    fold_case = options.match == "CASE_INSENSITIVE"
    by_name = {name.upper() if fold_case else name: name for name in types}
    values = []
    for column in target.columns:
        name = by_name.get(column.name.upper() if fold_case else column.name)
        values.append("NULL" if name is None else _value(name, types[name], column, options))
    return f"SELECT {', '.join(values)} FROM {source}"


def _value(name: str, kind: str, column: Column, options: CopyOptions) -> str:
    """Return a Parquet column as the target takes it, by Snowflake's rules rather than duckdb's."""
    value = quote(name)
    if kind == "BLOB" and options.binary_as_text:
        value, kind = f"decode({value})", "VARCHAR"
    if column.type == "JSON":
        # A text stays a text inside the variant; PARSE_JSON is the user's to call.
        return f"to_json({_as_text(value, kind) if kind in {'JSON', 'BLOB'} else value})"
    if column.type == "VARCHAR":
        return _as_text(value, kind)
    if column.type == "BLOB":
        return value if kind == "BLOB" else f"unhex({_as_text(value, kind)})"
    return f"CAST({value} AS {column.type})"


def _as_text(value: str, kind: str) -> str:
    if kind == "BLOB":
        return f"hex({value})"
    if kind.endswith("[]") or kind.startswith(("STRUCT(", "MAP(")):
        value = f"to_json({value})"
    return f"CAST({value} AS VARCHAR)"


def _need_single_variant(target: _Target, kind: str) -> None:
    if [column.type for column in target.columns] != ["JSON"]:
        raise compilation(
            "002019",
            "0A000",
            f"{kind} file format can produce one and only one column of type variant, object, or "
            "array. Load data into separate columns using the MATCH_BY_COLUMN_NAME copy option or "
            "copy with transformation.",
        )


def _not_found(url: str) -> SqlError:
    return SqlError(
        "091016",
        "22000",
        f"Remote file '{url}' was not found. There are several potential causes. The file might "
        "not exist. The required credentials may be missing or invalid. If you are running a copy "
        "command, please make sure files are not deleted when they are being loaded or files are "
        "not being loaded into two different tables concurrently with auto purge option.",
    )


def _in_file(error: duckdb.Error, file: StagedFile, options: CopyOptions) -> SqlError:
    found = explain_error(error)
    code, state = found.code, found.sqlstate
    if options.kind == "PARQUET" and code in {"100038", "100035", "100037", "100040"}:
        code, state = "100071", "22000"
    return SqlError(
        code,
        state,
        f"{found.message}\n  File '{file.key}'\n"
        "  If you would like to continue loading when an error is encountered, use other values "
        "such as 'SKIP_FILE' or 'CONTINUE' for the ON_ERROR option.",
    )
