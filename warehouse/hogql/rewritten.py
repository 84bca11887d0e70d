"""Calls that are another way to write one in the table of functions."""

from dataclasses import replace

from warehouse.hogql import nodes
from warehouse.hogql.errors import FunctionRefused
from warehouse.hogql.functions.dates import BEGINNINGS
from warehouse.hogql.source import Place

STEPS = "Years Months Weeks Days Hours Minutes Seconds Quarters".split()


def rewritten(node: nodes.Call, text: str) -> nodes.Call:
    """The call as the table has it; raises FunctionRefused for what it has no equal of."""
    match node.name.lower():
        case "plus" | "minus":
            return _moved(node)
        case "datediff":
            return _date_diff(node, text)
        case "date_trunc" | "datetrunc":
            return _date_trunc(node, text)
        case "tostartofinterval":
            return _start_of_interval(node, text)
    return node


def step_of(node: nodes.Expr) -> str:
    """``Months`` of ``toIntervalMonth(3)``; nothing of any other node."""
    if not isinstance(node, nodes.Call) or len(node.args) != 1:
        return ""
    unit = node.name.removeprefix("toInterval") + "s"
    return unit if node.name.startswith("toInterval") and unit in STEPS else ""


def _moved(node: nodes.Call) -> nodes.Call:
    """``x + INTERVAL 3 MONTH`` as ``addMonths(x, 3)``."""
    is_sum = node.name.lower() == "plus"
    match node.args:
        case value, nodes.Call(args=(amount,)) as interval if step_of(interval):
            pass
        case nodes.Call(args=(amount,)) as interval, value if is_sum and step_of(interval):
            pass
        case _:
            return node
    step = step_of(interval)
    if step == "Quarters":
        three = nodes.Constant(amount.at, 3)
        step, amount = "Months", nodes.Call(amount.at, "multiply", (amount, three))
    return nodes.Call(node.at, f"{'add' if is_sum else 'subtract'}{step}", (value, amount))


def _date_diff(node: nodes.Call, text: str) -> nodes.Call:
    unit = node.args[0] if node.args else None
    if not isinstance(unit, nodes.Constant) or unit.value != "day":
        raise FunctionRefused("dateDiff counts 'day' only.", Place.of(text, node.at))
    return nodes.Call(node.at, "daysBetween", node.args[1:])


def _date_trunc(node: nodes.Call, text: str) -> nodes.Call:
    """``date_trunc('month', x)`` as ``toStartOfMonth(x)``."""
    match node.args:
        case nodes.Constant(value=str(unit)), value if unit.lower() in BEGINNINGS:
            return replace(node, name=BEGINNINGS[unit.lower()], args=(value,))
    raise FunctionRefused(
        f"{node.name} takes a unit and what is cut to it.",
        Place.of(text, node.at),
        hint=f"Write {node.name}('month', x); the units are {', '.join(BEGINNINGS)}.",
    )


def _start_of_interval(node: nodes.Call, text: str) -> nodes.Call:
    """``toStartOfInterval(x, INTERVAL 1 MONTH)`` likewise."""
    match node.args:
        case value, nodes.Call(args=(nodes.Constant(value=1),)) as interval:
            unit = step_of(interval).removesuffix("s").lower()
            if unit in BEGINNINGS:
                return replace(node, name=BEGINNINGS[unit], args=(value,))
    raise FunctionRefused(
        f"{node.name} takes a value and an INTERVAL of 1.",
        Place.of(text, node.at),
        hint=f"Write {node.name}(x, INTERVAL 1 MONTH); the units are {', '.join(BEGINNINGS)}.",
    )
