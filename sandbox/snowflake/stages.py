"""External stages: names for places in S3, and the files there."""

import json
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.catalog import ACCOUNT
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.duck import one, rows
from sandbox.snowflake.errors import (
    already_there,
    compilation,
    missing,
    not_allowed,
    unsupported,
)
from sandbox.snowflake.names import TableName, fold_text
from sandbox.snowflake.results import Result

_TABLE = f"{ACCOUNT}.main.stages"
# They tell the real thing how to get in; here the sandbox's own keys are used.
_SIGN_IN = {"STORAGE_INTEGRATION", "ENCRYPTION"}
_WITHOUT_EFFECT = (exp.CredentialsProperty, exp.SchemaCommentProperty)


@dataclass(frozen=True)
class Location:
    """A stage with a path in it, as COPY and LIST name them."""

    url: str
    file_format: dict[str, Any]


def locate(context: Context, reference: str) -> Location:
    """Return where `@stage/path` points; raises SqlError for an unknown stage."""
    if not reference.startswith("@"):
        raise compilation("001011", "42601", f"invalid URL prefix found in: '{reference}'")
    name, _, path = reference[1:].partition("/")
    stage = _stage_name(context, name)
    row = one(
        context.duck,
        f"SELECT url, file_format FROM {_TABLE} "
        "WHERE database_name = ? AND schema_name = ? AND name = ?",
        [stage.database, stage.schema, stage.table],
    )
    if row is None:
        raise missing("Stage", stage.dotted)
    base = row[0] if row[0].endswith("/") or not path else f"{row[0]}/"
    return Location(f"{base}{path}", json.loads(row[1]))


def create_stage(context: Context, statement: exp.Create) -> Result:
    """Name a place in S3."""
    name = context.name_of(statement.this)
    url, file_format = _definition(statement)
    exists = one(
        context.duck,
        f"SELECT 1 FROM {_TABLE} WHERE database_name = ? AND schema_name = ? AND name = ?",
        [name.database, name.schema, name.table],
    )
    if exists and statement.args.get("exists"):
        return results.status(f"{name.table} already exists, statement succeeded.")
    if exists and not statement.args.get("replace"):
        raise already_there(name.dotted)
    rows(
        context.duck,
        f"INSERT OR REPLACE INTO {_TABLE} (database_name, schema_name, name, url, file_format) "
        "VALUES (?, ?, ?, ?, ?)",
        [name.database, name.schema, name.table, url, json.dumps(file_format)],
    )
    return results.status(f"Stage area {name.table} successfully created.")


def drop_stage(context: Context, statement: exp.Drop) -> Result:
    """Forget a place in S3; its files stay."""
    name = context.name_of(statement.args["tables"][0])
    ((gone,),) = rows(
        context.duck,
        f"DELETE FROM {_TABLE} WHERE database_name = ? AND schema_name = ? AND name = ?",
        [name.database, name.schema, name.table],
    )
    if not gone and not statement.args.get("exists"):
        raise missing("Stage", name.dotted)
    return results.status(f"{name.table} successfully dropped.")


def list_files(context: Context, statement: exp.ListStage) -> Result:
    """List the files under a stage and path."""
    if statement.args.get("pattern") is not None:
        raise unsupported("LIST with PATTERN")
    location = locate(context, statement.this.name.strip("'"))
    columns = [
        ResultColumn("name"),
        ResultColumn("size", "FIXED", 38, 0),
        ResultColumn("md5"),
        ResultColumn("last_modified"),
    ]
    listed = [
        [file.url, file.size, file.etag, file.modified]
        for file in context.account.bucket.files(location.url)
    ]
    return results.table_of(columns, listed, results.UNKNOWN)


def remove_files(context: Context, reference: str) -> Result:
    """Delete the files under a stage and path."""
    if not context.session.may_write:
        raise not_allowed("stage", reference)
    bucket = context.account.bucket
    files = list(bucket.files(locate(context, reference).url))
    for file in files:
        bucket.remove(file.url)
    columns = [ResultColumn("name"), ResultColumn("result")]
    return results.table_of(columns, [[file.url, "removed"] for file in files], results.UNKNOWN)


def options_of(properties: list[exp.Expr]) -> dict[str, Any]:
    """Return `NAME = value` pairs with upper-case names; words come as upper-case text."""
    return {given.name.upper(): option_value(given.args.get("value")) for given in properties}


def option_value(value: exp.Expr | None) -> Any:
    """Return an option's value as Python has it; raises SqlError for an odd one."""
    if isinstance(value, exp.Boolean):
        return bool(value.this)
    if isinstance(value, exp.Literal):
        return value.name if value.is_string else int(value.name)
    if isinstance(value, exp.Var | exp.Column | exp.Identifier):
        return value.name.upper()
    if isinstance(value, exp.Tuple | exp.Paren):
        return [option_value(part) for part in value.expressions or [value.this]]
    raise unsupported(f"option {value.sql(dialect='snowflake') if value else ''}")


def _definition(statement: exp.Create) -> tuple[str, dict[str, Any]]:
    url, file_format = "", {}
    found = statement.args.get("properties")
    for given in found.expressions if found else []:
        name = given.name.upper()
        if isinstance(given, exp.FileFormatProperty):
            file_format = options_of(given.expressions)
        elif isinstance(given, exp.Property) and name == "URL":
            url = given.args["value"].name
        elif not isinstance(given, _WITHOUT_EFFECT) and name not in _SIGN_IN:
            raise unsupported(f"CREATE STAGE ... {name or given.key.upper()}")
    if not url.startswith("s3://"):
        raise unsupported("stages other than on s3://")
    return url, file_format


def _stage_name(context: Context, text: str) -> TableName:
    parts = [fold_text(part) for part in text.split(".")]
    if len(parts) > 3 or not all(parts):
        raise compilation("001003", "42000", f"syntax error in stage reference '@{text}'.")
    database, schema, name = [None, None, *parts][-3:]
    return context.session.table_name(database, schema, str(name))
