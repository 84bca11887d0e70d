"""The rules of schema drift: complete, as documented, and what they make of each difference."""

from pathlib import Path

import pyarrow as pa
import pytest

from connectors.drift import DONE, FOUND, RULES, Difference, Kind, LoadPlan, Outcome, decide
from connectors.snowflake import columns
from connectors.types import Contract

DOCS = Path(__file__).resolve().parents[2] / "docs" / "loading.md"


def plan(*differences: Difference, contract: Contract) -> LoadPlan:
    return LoadPlan(changes=decide(differences, contract, lambda one: f"ALTER {one.column}"))


def test_every_difference_has_one_outcome_for_every_contract() -> None:
    assert set(RULES) == set(FOUND) == set(Kind)
    assert all(set(outcomes) == set(Contract) for outcomes in RULES.values())
    decided = {(kind, outcome) for kind, by in RULES.items() for outcome in by.values()}
    assert set(DONE) == {one for one in decided if one[1] is not Outcome.STOP}


def test_freeze_stops_at_anything_and_quarantine_alters_nothing() -> None:
    assert {by[Contract.FREEZE] for by in RULES.values()} == {Outcome.STOP}
    assert Outcome.ALTER not in {by[Contract.QUARANTINE] for by in RULES.values()}


def test_table_in_the_docs_says_what_the_rules_say() -> None:
    table = DOCS.read_text().split("## Columns that differ")[1]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:1] == "|"]
    assert cells[2:] == [
        [kind, *(DONE.get((kind, outcomes[contract]), "stop") for contract in Contract)]
        for kind, outcomes in RULES.items()
    ]


def test_plan_says_what_is_run_what_stops_and_what_is_left_out() -> None:
    found = (Difference(Kind.ADDED, "A", wanted="DATE"), Difference(Kind.RETYPED, "B", "X", "Y"))
    evolved = plan(*found, contract=Contract.EVOLVE)
    assert evolved.statements == ("ALTER A",)
    assert evolved.stops == {"B": "The target has X, the source needs Y."}
    assert evolved.left_out == frozenset()
    aside = plan(*found, contract=Contract.QUARANTINE)
    assert (aside.statements, aside.stops, aside.left_out) == ((), {}, {"A", "B"})
    assert aside.sentences["A"] == (
        "The target has no such column; the source has one of type DATE. It is not loaded."
    )


def test_plan_for_a_target_that_is_not_there_makes_it() -> None:
    made = LoadPlan(creates="CREATE TABLE T")
    assert (made.statements, made.stops, made.sentences) == (("CREATE TABLE T",), {}, {})


# What differs in Snowflake


@pytest.mark.parametrize(
    ("there", "source", "found"),
    [
        (("NUMBER", 38, 0), pa.int64(), None),
        (("NUMBER", 10, 2), pa.decimal128(10, 2), None),
        (("NUMBER", 10, 2), pa.decimal128(11, 2), (Kind.WIDENED, "NUMBER(11,2)")),
        (("NUMBER", 10, 4), pa.decimal128(10, 2), (Kind.WIDENED, "NUMBER(12,4)")),
        (("NUMBER", 10, 2), pa.decimal128(9, 2), (Kind.NARROWED, "NUMBER(9,2)")),
        (("NUMBER", 10, 4), pa.decimal128(8, 2), (Kind.NARROWED, "NUMBER(8,2)")),
        (("NUMBER", 10, 2), pa.decimal128(10, 3), (Kind.RETYPED, "NUMBER(10,3)")),
        # A wider number with the scale that is there has no room.
        (("NUMBER", 38, 10), pa.decimal128(38, 2), (Kind.RETYPED, "NUMBER(38,2)")),
        (("NUMBER", 38, 2), pa.int64(), (Kind.RETYPED, "NUMBER(38,0)")),
        (("FLOAT", None, None), pa.float32(), None),
        (("FLOAT", None, None), pa.int64(), (Kind.RETYPED, "NUMBER(38,0)")),
        (("NUMBER", 38, 0), pa.float64(), (Kind.RETYPED, "FLOAT")),
        (("TEXT", 16_777_216, None), pa.string(), None),
        (("TEXT", 134_217_728, None), pa.string(), None),
        (("TEXT", 10, None), pa.string(), (Kind.WIDENED, "VARCHAR(134217728)")),
        (("TIMESTAMP_NTZ", 9, None), pa.timestamp("us"), None),
        (("TIMESTAMP_NTZ", 3, None), pa.timestamp("us"), (Kind.RETYPED, "TIMESTAMP_NTZ(6)")),
        (("TIMESTAMP_LTZ", 9, None), pa.timestamp("us"), (Kind.RETYPED, "TIMESTAMP_NTZ(6)")),
        (("BOOLEAN", None, None), pa.string(), (Kind.RETYPED, "VARCHAR(134217728)")),
        (("DATE", None, None), pa.date32(), None),
    ],
    ids=str,
)
def test_type_in_the_target_fits_or_differs(
    there: tuple[str, int | None, int | None],
    source: pa.DataType,
    found: tuple[Kind, str] | None,
) -> None:
    existing = columns.existing([("X", *there, "YES", None)])
    differences = columns.differences(pa.schema([pa.field("x", source)]), (), existing, ())
    assert [(one.kind, one.wanted) for one in differences] == ([found] if found else [])


@pytest.mark.parametrize(
    ("nullable", "default", "kind"),
    [("YES", None, Kind.DROPPED), ("NO", "0", Kind.DROPPED), ("NO", None, Kind.REQUIRED)],
)
def test_column_that_the_source_has_no_more(nullable: str, default: str | None, kind: Kind) -> None:
    existing = columns.existing([("X", "DATE", None, None, nullable, default)])
    (found,) = columns.differences(pa.schema([]), (), existing, ())
    assert found.kind is kind


@pytest.mark.parametrize(
    ("key_there", "found"),
    [
        ((), []),
        (("B", "A"), []),
        (("A",), [("A", "A, B")]),
        (("A", "C"), [("A, C", "A, B")]),
    ],
    ids=str,
)
def test_key_is_the_same_in_any_order_of_its_columns(
    key_there: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    schema = pa.schema([("a", pa.date32()), ("b", pa.date32())])
    existing = columns.existing([(name, "DATE", None, None, "NO", None) for name in "AB"])
    differences = columns.differences(schema, ("a", "b"), existing, key_there)
    assert [(one.there, one.wanted) for one in differences] == found
    assert not list(columns.differences(schema, (), existing, key_there))
