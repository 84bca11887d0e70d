"""What the general guard cannot see in Databricks' dialect: programs, files and hints."""

from collections.abc import Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from connectors.errors import SqlRefused

DIALECT = "databricks"
FILE_FORMATS = frozenset(
    """avro binaryfile cloudfiles csv delta deltasharing hudi iceberg image json libsvm orc parquet
    text xml""".split()
)

REFUSED_FUNCTIONS = frozenset(
    """ai_* cloud_files_state event_log from_avro from_protobuf http_request identifier java_method
    list_secrets python_exec read_* reflect remote_query secret stream system.ai.* to_avro
    to_protobuf try_reflect try_secret vector_search""".split()
)
"""Functions that reach out of the warehouse, run a program, read files or tell secrets."""


def check(sql: str, tree: exp.Expr, tokens: Sequence[Token]) -> None:
    """Return quietly, or raise SqlRefused, for a text, its parse tree and its tokens.

    Reasons: ``ambiguous`` for an optimizer hint, in which Databricks reads literals where the
    parser reads a comment; for a comment that goes on after a backslash, where the parser reads
    on; and for a variable, which is replaced before anything is read. ``function`` for
    TRANSFORM, MAP and REDUCE … USING, which run a program; a join's USING is followed by a
    parenthesis. ``reads_stage`` for a path or format where a table's name is to be.
    """
    if "\\\n" in sql:
        raise SqlRefused("ambiguous", "A line must not end in a backslash.")
    if "${" in sql:
        raise SqlRefused("ambiguous", "Variables such as ${name} are not replaced here.")
    if any(token.token_type == TokenType.HINT for token in tokens):
        raise SqlRefused("ambiguous", "Optimizer hints cannot be judged.", hint="Leave them out.")
    if any(
        one.token_type == TokenType.USING and two.token_type != TokenType.L_PAREN
        for one, two in pairwise(tokens)
    ):
        raise SqlRefused("function", "TRANSFORM, MAP and REDUCE … USING run a program.")
    for node in tree.walk():
        if isinstance(node, exp.QueryTransform):
            raise SqlRefused("function", "TRANSFORM … USING runs a program.")
        if isinstance(node, exp.Table) and _is_file(node):
            raise SqlRefused("reads_stage", "Files cannot be read here, only tables.")


def _is_file(table: exp.Table) -> bool:
    """A name such as csv.`/path`, which is a file's; no table can have a slash in its name."""
    schema = table.db.lower()
    return "/" in table.name or schema in FILE_FORMATS or "." in schema
