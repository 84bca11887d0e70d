"""docs/hogql.md has the table of functions as it is."""

from pathlib import Path

from warehouse.hogql import parser, parser_process, read_expressions
from warehouse.hogql.functions.lookup import FUNCTIONS
from warehouse.hogql.functions.table import DIALECTS
from warehouse.hogql.reference import replaced

PAGE = (Path(__file__).parents[2] / "docs" / "hogql.md").read_text()


def test_the_page_has_every_function() -> None:
    assert replaced(PAGE) == PAGE, "python -m warehouse.hogql.reference docs/hogql.md"
    assert all(f"`{function.signature}`" in PAGE for function in FUNCTIONS)


def test_every_function_is_in_some_dialect_and_no_dialect_is_made_up() -> None:
    assert all(function.forms and set(function.forms) <= set(DIALECTS) for function in FUNCTIONS)


def test_the_page_has_the_bounds() -> None:
    assert f"{parser.MAX_CHARS:,} characters, {read_expressions.MAX_DEPTH} levels" in PAGE
    assert f"{read_expressions.MAX_NODES:,} parts, {parser_process.MAX_CPU_S:.0f} s" in PAGE
