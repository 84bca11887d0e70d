"""A text in a dialect with the values that go beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.types import Params
from warehouse.hogql import tree
from warehouse.hogql.printing.dialects import MARK, Dialect


@dataclass(frozen=True)
class Printed:
    """What is sent: to the connector's guard first, like any text."""

    sql: str
    params: Params


def with_values(text: str, dialect: Dialect, found: list[tree.Param]) -> Printed:
    """Placeholders of the dialect in the place of marks, and their values in the same order."""
    places = [int(match[2]) for match in MARK.finditer(text)]
    if not places:
        return Printed(text, ())
    if dialect.percent_doubled:
        text = text.replace("%", "%%")

    def placeholder(param: tree.Param) -> str:
        kind = dialect.type_text(param.type)
        return dialect.placeholder.format(name=param.name, type=kind)

    sql = MARK.sub(lambda match: placeholder(found[int(match[2])]), text)
    if "{name}" not in dialect.placeholder:
        return Printed(sql, [found[place].value for place in places])
    values: Mapping[str, object] = {found[place].name: found[place].value for place in places}
    return Printed(sql, values)
