"""Identifiers: Snowflake folds bare names to upper case and keeps quoted ones."""

from dataclasses import dataclass

from sqlglot import exp


def quote(name: str) -> str:
    """Return a name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def fold(identifier: exp.Expr | None) -> str | None:
    """Return an identifier's name as Snowflake stores it, None when there is none."""
    if identifier is None:
        return None
    if isinstance(identifier, exp.Identifier) and identifier.quoted:
        return identifier.name
    return identifier.name.upper()


def fold_text(name: str) -> str:
    """Fold a name that came as text, such as a connection's database."""
    return name[1:-1].replace('""', '"') if name[:1] == '"' == name[-1:] else name.upper()


@dataclass(frozen=True, order=True)
class TableName:
    """A table's full name, folded."""

    database: str
    schema: str
    table: str

    @property
    def sql(self) -> str:
        """The quoted name."""
        return ".".join(map(quote, (self.database, self.schema, self.table)))

    @property
    def dotted(self) -> str:
        """The name as error messages show it."""
        return f"{self.database}.{self.schema}.{self.table}"
