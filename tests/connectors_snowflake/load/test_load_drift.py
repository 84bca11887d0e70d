"""Columns that differ, in the warehouse itself: what a load alters, leaves out, or stops at."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.drift import Kind, Outcome
from connectors.errors import ConnectionLost, DataError, SchemaChanged
from connectors.types import Contract, LoadMode, LoadTarget
from tests.connectors_snowflake.load.loads import SCHEMA, Look, Stage

WITH_PRICE = pa.schema([*SCHEMA, pa.field("price", pa.decimal128(12, 2))])


def under(target: LoadTarget, contract: Contract, **changes: Any) -> LoadTarget:
    return dataclasses.replace(target, contract=contract, **changes)


@pytest.fixture
def described(keeper: Any, target: LoadTarget) -> Callable[[], dict[str, tuple[str, str]]]:
    """The target's columns: type, and whether NULL is taken."""

    def look() -> dict[str, tuple[str, str]]:
        rows = keeper.execute(f"DESCRIBE TABLE {target.schema}.ORDERS").fetchall()
        return {row[0]: (row[1], row[3]) for row in rows}

    return look


# Evolve


def test_added_column_arrives(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, described: Any
) -> None:
    loader.load(stage([(1, "a"), (2, "b")]), target)
    manifest = stage([(2, "B", Decimal("1.50"))], schema=WITH_PRICE, folder="run-2")
    plan = loader.plan_load(manifest.schema, manifest.primary_key, target)
    assert plan.sentences == {
        "PRICE": "The target has no such column; the source has one of type NUMBER(12,2). It is "
        "added. Rows loaded before have NULL in it until they change at the source, or the table "
        "is loaded in full."
    }
    assert plan.statements == (
        f'ALTER TABLE "{target.schema}"."ORDERS" ADD COLUMN IF NOT EXISTS "PRICE" NUMBER(12,2)',
    )
    assert "PRICE" not in described()
    loader.load(manifest, target)
    assert stored() == [(1, "a", None), (2, "B", Decimal("1.50"))]
    assert not loader.plan_load(manifest.schema, manifest.primary_key, target).changes


def test_dropped_column_stays_with_what_it_has(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(1, "a", Decimal(1)), (2, "b", Decimal(2))], schema=WITH_PRICE), target)
    loader.load(stage([(2, "B"), (3, "c")], folder="run-2"), target)
    assert stored() == [(1, "a", Decimal(1)), (2, "B", Decimal(2)), (3, "c", None)]


def test_dropped_column_that_took_no_null_takes_it(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any, described: Any
) -> None:
    keeper.execute(
        f"CREATE TABLE {target.schema}.ORDERS (ID NUMBER(38,0), WORD VARCHAR, OLD INT NOT NULL)"
    )
    loader.load(stage([(1, "a")]), target)
    assert stored() == [(1, "a", None)]
    assert described()["OLD"][1] == "Y"


def test_renamed_column_is_one_dropped_and_one_added(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(1, "a")]), target)
    renamed = pa.schema([SCHEMA.field("id"), pa.field("text", pa.string())])
    loader.load(stage([(2, "b")], schema=renamed, folder="run-2"), target)
    assert stored() == [(1, "a", None), (2, None, "b")]


@pytest.mark.parametrize(
    ("there", "source", "becomes"),
    [
        ("NUMBER(10,2)", pa.decimal128(12, 2), "NUMBER(12,2)"),
        ("NUMBER(14,4)", pa.decimal128(14, 2), "NUMBER(16,4)"),
        ("NUMBER(5,0)", pa.int32(), "NUMBER(38,0)"),
        ("VARCHAR(3)", pa.string(), "VARCHAR(134217728)"),
    ],
)
def test_wider_column_is_widened_and_holds_what_it_could_not(
    loader: Any,
    target: LoadTarget,
    stage: Stage,
    stored: Look,
    keeper: Any,
    described: Any,
    there: str,
    source: pa.DataType,
    becomes: str,
) -> None:
    keeper.execute(f"CREATE TABLE {target.schema}.ORDERS (ID NUMBER(38,0), X {there})")
    schema = pa.schema([SCHEMA.field("id"), pa.field("x", source)])
    value = {"string": "abcdef", "int32": 2_000_000_000}.get(str(source), Decimal(9_999_999_999))
    loader.load(stage([(1, value)], schema=schema), target)
    assert (stored(), described()["X"][0]) == ([(1, value)], becomes)


def test_narrower_source_leaves_the_target_wide(
    loader: Any, target: LoadTarget, stage: Stage, described: Any
) -> None:
    loader.load(stage([(1, "a", Decimal(1))], schema=WITH_PRICE), target)
    narrow = pa.schema([*SCHEMA, pa.field("price", pa.decimal128(4, 1))])
    loader.load(stage([(2, "b", Decimal(2))], schema=narrow, folder="run-2"), target)
    assert described()["PRICE"][0] == "NUMBER(12,2)"


@pytest.mark.parametrize(
    ("columns", "at_fault"),
    [
        (
            "ID NUMBER(38,0), WORD DATE",
            {"WORD": "The target has DATE, the source needs VARCHAR(134217728)."},
        ),
        (
            "ID VARCHAR, WORD VARCHAR",
            {"ID": "The target's key has VARCHAR(16777216), the source's NUMBER(38,0)."},
        ),
        (
            "WORD VARCHAR",
            {"ID": "The target's key has no such column, the source's NUMBER(38,0)."},
        ),
        (
            "ID NUMBER(38,0), WORD VARCHAR, PRIMARY KEY (ID, WORD)",
            {"primary key": "The target's key has ID, WORD, the source's ID."},
        ),
    ],
    ids=["type", "type-of-the-key", "key-not-there", "key"],
)
@pytest.mark.parametrize("contract", [Contract.EVOLVE, Contract.FREEZE])
def test_what_cannot_be_altered_stops_and_changes_nothing(
    loader: Any,
    target: LoadTarget,
    stage: Stage,
    stored: Look,
    ledger: Look,
    keeper: Any,
    columns: str,
    at_fault: dict[str, str],
    contract: Contract,
) -> None:
    keeper.execute(f"CREATE TABLE {target.schema}.ORDERS ({columns})")
    with pytest.raises(SchemaChanged) as caught:
        loader.load(stage([(1, "a")]), under(target, contract))
    assert caught.value.fields == at_fault
    assert (stored(), ledger()) == ([], [])


def test_a_stop_alters_nothing_of_the_rest(
    loader: Any, target: LoadTarget, stage: Stage, keeper: Any, described: Any
) -> None:
    keeper.execute(f"CREATE TABLE {target.schema}.ORDERS (ID NUMBER(38,0), WORD DATE)")
    with pytest.raises(SchemaChanged):
        loader.load(stage([(1, "a", None)], schema=WITH_PRICE), target)
    assert list(described()) == ["ID", "WORD"]


def test_key_of_the_target_matters_only_where_rows_are_merged_by_it(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any
) -> None:
    keeper.execute(
        f"CREATE TABLE {target.schema}.ORDERS (ID NUMBER(38,0), WORD VARCHAR, PRIMARY KEY (WORD))"
    )
    loader.load(stage([(1, "a")]), dataclasses.replace(target, mode=LoadMode.SWAP))
    assert stored() == [(1, "a")]


def test_target_that_is_not_there_is_planned_and_not_made(
    loader: Any, target: LoadTarget, keeper: Any
) -> None:
    plan = loader.plan_load(SCHEMA, ("id",), target)
    assert plan.statements == (
        f'CREATE TABLE IF NOT EXISTS "{target.schema}"."ORDERS" ("ID" NUMBER(38,0) NOT NULL, '
        '"WORD" VARCHAR(134217728), PRIMARY KEY ("ID"))',
    )
    assert keeper.execute(f"SHOW TABLES IN SCHEMA {target.schema}").fetchall() == []


def test_load_cut_off_after_its_alterations_goes_on_from_there(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, open_one: Callable[..., Connector]
) -> None:
    loader.load(stage([(1, "a")]), target)
    manifest = stage([(2, "b", Decimal(2))], schema=WITH_PRICE, folder="run-2")
    worker: Any = open_one()
    run = worker._run

    def cut_off(sql: str, *rest: Any, **named: Any) -> Any:
        answer = run(sql, *rest, **named)
        if sql.startswith("ALTER"):
            raise ConnectionLost
        return answer

    worker._run = cut_off
    with pytest.raises(ConnectionLost):
        worker.load(manifest, target)
    assert stored() == [(1, "a", None)]
    loader.load(manifest, target)
    assert stored() == [(1, "a", None), (2, "b", Decimal(2))]


# Freeze


@pytest.mark.parametrize(
    "columns",
    [
        "ID NUMBER(38,0)",
        "ID NUMBER(38,0), WORD VARCHAR, MORE INT",
        "ID NUMBER(10,0), WORD VARCHAR",
        "ID NUMBER(38,0), WORD VARCHAR(10)",
    ],
    ids=["added", "dropped", "widened", "longer"],
)
def test_frozen_target_takes_no_rows_of_another_shape(
    loader: Any,
    target: LoadTarget,
    stage: Stage,
    stored: Look,
    ledger: Look,
    keeper: Any,
    columns: str,
) -> None:
    keeper.execute(f"CREATE TABLE {target.schema}.ORDERS ({columns})")
    with pytest.raises(SchemaChanged):
        loader.load(stage([(1, "a")]), under(target, Contract.FREEZE))
    assert (stored(), ledger()) == ([], [])


def test_frozen_target_of_the_same_shape_is_loaded(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    frozen = under(target, Contract.FREEZE)
    for word in "ab":
        loader.load(stage([(1, word)], folder=f"run-{word}"), frozen)
    assert stored() == [(1, "b")]


# Quarantine


def test_quarantine_goes_on_with_the_columns_that_both_have(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any
) -> None:
    keeper.execute(
        f"CREATE TABLE {target.schema}.ORDERS "
        "(ID NUMBER(38,0), WORD DATE, MINE VARCHAR, SMALL NUMBER(3,0))"
    )
    schema = pa.schema([*WITH_PRICE, pa.field("small", pa.int16())])
    aside = under(target, Contract.QUARANTINE)
    plan = loader.plan_load(schema, ("id",), aside)
    assert {c.difference.column: (c.difference.kind, c.outcome) for c in plan.changes} == {
        "WORD": (Kind.RETYPED, Outcome.LEAVE_OUT),
        "PRICE": (Kind.ADDED, Outcome.LEAVE_OUT),
        "SMALL": (Kind.WIDENED, Outcome.GO_ON),
        "MINE": (Kind.DROPPED, Outcome.GO_ON),
    }
    assert plan.statements == ()
    loader.load(stage([(1, "a", Decimal(1), 7)], schema=schema), aside)
    assert stored() == [(1, None, None, 7)]


def test_value_too_wide_for_a_column_that_was_not_widened_stops_the_load(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, keeper: Any
) -> None:
    keeper.execute(f"CREATE TABLE {target.schema}.ORDERS (ID NUMBER(3,0), WORD VARCHAR)")
    aside = under(target, Contract.QUARANTINE)
    loader.load(stage([(999, "fits")]), aside)
    with pytest.raises(DataError):
        loader.load(stage([(1, "fits"), (1000, "does not")], folder="run-2"), aside)
    assert (stored(), len(ledger())) == ([(999, "fits")], 1)
