"""Strategies for random queries over the random tables, as texts in which ``{t0}`` is a table.

Left out is what depends on the engine by `docs/hogql.md`: which of two texts comes first, and NULL
on either side of NOT IN.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.hogql.expressions import Texts, bools, deeper, joined, words

Draw = Callable[[st.SearchStrategy[Any]], Any]
TABLES = st.sampled_from(["t0", "t0", "t0", "t1", "t1", "t1", "t2", "t2", "t3"])
JOINS = st.sampled_from(
    ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
)
LINKS = st.sampled_from(
    ["n k", "k n", "n k", "k k", "n n", "m n", "w w", "day day", "d d", "last last", "m k", "f f"]
)
KEYS = ("{int}", "{number}", "{text}", "{day}", "{last}", "{float}")
AGGREGATES = (
    "count()", "count({int})", "uniq({int})", "uniq({text})", "sum({int})", "sum({decimal})",
    "avg({number})", "min({number})", "max({int})", "sum({number})", "min({day})",
    "max({decimal})", "min({float})", "sum({float})", "sumIf({int}, {bool})", "countIf({bool})",
    "uniq({day})", "max({last})", "stddevPop({int})", "varSamp({decimal})", "avg({float})",
    "uniq({float})", "count(DISTINCT {text})", "sum(DISTINCT {int})",
)  # fmt: skip
# Snowflake's stand-in partitions by no quotient.
WINDOWS = (
    "row_number() OVER (PARTITION BY {number} ORDER BY {keys})",
    "rank() OVER (PARTITION BY {text} ORDER BY {number})",
    "sum({int}) OVER (PARTITION BY {text})",
    "sum({decimal}) OVER (ORDER BY {keys} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "lag({int}, 1) OVER (ORDER BY {keys})",
    "count() OVER (PARTITION BY {day})",
    "dense_rank() OVER (ORDER BY {day} DESC, {number} NULLS FIRST)",
    "lead({text}, 2) OVER (PARTITION BY {bool} ORDER BY {keys})",
    "first_value({decimal}) OVER (PARTITION BY {number} ORDER BY {keys} "
    "ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "last_value({day}) OVER (ORDER BY {keys} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
    "max({int}) OVER (PARTITION BY {text} ORDER BY {day})",
)
NESTED = (
    "{outer} IN (SELECT {inner} FROM {rows} WHERE {asked})",
    "{outer} IS NOT NULL AND {outer} NOT IN "
    "(SELECT {inner} FROM {rows} WHERE {inner} IS NOT NULL AND {asked})",
    "EXISTS (SELECT s.k AS k FROM {rows} WHERE {inner} = {outer} AND {asked})",
    "NOT EXISTS (SELECT 1 AS one FROM {rows} WHERE {inner} = {outer} AND {asked})",
    "EXISTS (SELECT 1 AS one FROM {rows} WHERE {inner} = {outer} AND {both})",
    "NOT EXISTS (SELECT 1 AS one FROM {rows} WHERE {asked})",
    "{ours}.n <= (SELECT max(s.n) FROM {rows} WHERE {asked})",
    "{ours}.n < (SELECT count() FROM {rows} WHERE {inner} = {outer})",
    "({outer} IN (SELECT {inner} FROM {rows}) OR {ours}.n = 1)",
    "{ours}.m > (SELECT avg(s.n) FROM {rows} WHERE {inner} = {outer})",
    "{outer} IN (SELECT {inner} FROM {rows} WHERE {asked} UNION ALL SELECT s.k AS k FROM {rows})",
    "{outer} IN (SELECT {inner} FROM {rows} GROUP BY {inner} HAVING count() > 1)",
    "NOT (EXISTS (SELECT 1 AS one FROM {rows} WHERE {inner} = {outer}) AND {own})",
)
VALUES = (
    *KEYS, "{decimal}", "{bool}", "CASE WHEN {bool} THEN {decimal} ELSE {int} END",
    "CASE {int} WHEN 1 THEN {text} WHEN {int} THEN {text} END", "coalesce({last}, {day})",
)  # fmt: skip


@cache
def kinds(aliases: tuple[str, ...]) -> dict[str, Texts]:
    """Expressions over the columns of relations, by their kind."""

    def column(name: str) -> Texts:
        return st.sampled_from([f"{alias}.{name}" for alias in aliases])

    numbers = st.one_of(column("n"), column("m"), column("k"))
    # Snowflake's integers are decimals without a fraction.
    ints = st.one_of(numbers.map("toInt({})".format), st.integers(-3, 9).map("({})".format))
    decimals, texts, days = column("d"), st.one_of(column("w"), words), column("day")
    more_ints, more_texts, more_days = deeper(ints, texts, days, decimals)
    return {
        "int": st.one_of(ints, more_ints),
        "number": numbers,
        "decimal": st.one_of(decimals, joined("({} * {})", decimals, ints)),
        "text": st.one_of(column("w"), more_texts),
        "day": more_days,
        "last": column("last"),
        "float": column("f"),
        "bool": st.one_of(
            bools(ints, texts, days, decimals),
            joined("({} < {})", column("last"), column("last")),
            joined("({} >= {})", column("f"), column("f")),
            joined("({} = {})", column("f"), column("f")),
            joined("({} IS NULL)", column("k")),
            joined("({} = {})", numbers, ints),
            joined("({} <> {})", column("w"), words),
        ),
    }


def _filled(draw: Draw, form: str, aliases: tuple[str, ...]) -> str:
    """The form with an expression for each kind that it names."""
    found = {kind: draw(one) for kind, one in kinds(aliases).items() if f"{{{kind}}}" in form}
    return form.format(**found, keys=", ".join(f"{alias}.k" for alias in aliases))


def _where(draw: Draw, aliases: tuple[str, ...], *, deep: bool) -> str:
    """Mostly nothing, so that rows are left; ``deep``: queries may be in it."""
    parts = [draw(kinds(aliases)["bool"]) for _ in range(draw(st.sampled_from([0, 0, 0, 1])))]
    if deep and draw(st.integers(0, 2)) == 0:
        parts.append(_nested(draw, aliases))
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _nested(draw: Draw, aliases: tuple[str, ...]) -> str:
    """A condition with a query in it."""
    ours, link = draw(st.sampled_from(aliases)), draw(LINKS)
    outer, inner = (f"{ours}.{link.split()[0]}", f"s.{link.split()[1]}")
    rows = f"{{{draw(TABLES)}}} AS s"
    asked = draw(kinds(("s",))["bool"])
    if draw(st.booleans()):
        rows += f" JOIN {{{draw(TABLES)}}} AS u ON u.k = s.n"
        asked = draw(kinds(("s", "u"))["bool"])
    both = draw(kinds((ours, "s"))["bool"])
    form = draw(st.sampled_from(NESTED))
    parts = {"outer": outer, "inner": inner, "rows": rows, "asked": asked, "both": both}
    return str(form.format(**parts, ours=ours, own=draw(kinds((ours,))["bool"])))


def _relation(draw: Draw, alias: str) -> str:
    """A table, or a query that has the columns of one; ``k`` is unique in each."""
    table = f"{{{draw(TABLES)}}}"
    form = draw(
        st.sampled_from(["table"] * 3 + ["rows", "few", "groups", "joined", "halves", "first"])
    )
    if form == "table":
        return f"{table} AS {alias}"
    where = _where(draw, ("i",), deep=False)
    plain = (
        "i.k AS k, i.n AS n, i.m AS m, i.d AS d, i.w AS w, i.day AS day, i.last AS last, i.f AS f"
    )
    match form:
        case "rows":
            query = f"SELECT {plain} FROM {table} AS i{where}"
        case "few":
            query = f"SELECT {plain} FROM {table} AS i{where} ORDER BY i.n DESC, i.k LIMIT 3"
        case "halves":
            query = (
                f"SELECT {plain} FROM {table} AS i WHERE i.k < 5 UNION ALL "
                f"SELECT {plain} FROM {{{draw(TABLES)}}} AS i WHERE i.k >= 5"
            )
        case "first":
            query = f"SELECT {plain} FROM {table} AS i{where} ORDER BY i.m, i.k LIMIT 1 BY i.n"
        case "groups":
            query = (
                "SELECT min(i.k) AS k, sum(i.n) AS n, count(i.m) AS m, sum(i.d) AS d, i.w AS w, "
                "max(i.day) AS day, min(i.last) AS last, max(i.f) AS f "
                f"FROM {table} AS i{where} GROUP BY i.w"
            )
        case _:
            kind = draw(st.sampled_from(["JOIN", "LEFT JOIN"]))
            query = (
                f"SELECT i.k AS k, j.n AS n, i.m AS m, j.d AS d, i.w AS w, j.day AS day, "
                f"i.last AS last, j.f AS f "
                f"FROM {table} AS i {kind} {{{draw(TABLES)}}} AS j ON j.k = i.n{where}"
            )
    return f"({query}) AS {alias}"


def _from(draw: Draw) -> tuple[str, tuple[str, ...]]:
    """Joined relations, and their aliases."""
    count = draw(st.sampled_from([1, 2, 2, 2, 3, 3]))
    aliases = tuple("abc"[:count])
    text = _relation(draw, "a")
    for place, alias in enumerate(aliases[1:], start=1):
        if draw(st.integers(0, 7)) == 0:
            text += f" CROSS JOIN {_relation(draw, alias)}"
            continue
        before = draw(st.sampled_from(aliases[:place]))
        left, right = draw(LINKS).split()
        on = f"{before}.{left} = {alias}.{right}"
        if draw(st.integers(0, 3)) == 0:
            on += f" AND {draw(kinds((draw(st.sampled_from([before, alias])),))['bool'])}"
        text += f" {draw(JOINS)} {_relation(draw, alias)} ON {on}"
    return text, aliases


@st.composite
def rows(draw: Draw) -> str:
    """Rows of joins, maybe in their order and cut, with a value of another query or a window."""
    joins, aliases = _from(draw)
    keys = [f"{alias}.k" for alias in aliases]
    forms = draw(st.lists(st.sampled_from(VALUES), max_size=3))
    items = [_filled(draw, form, aliases) for form in forms]
    if draw(st.integers(0, 3)) == 0:
        items.append(_filled(draw, draw(st.sampled_from(WINDOWS)), aliases))
    if draw(st.integers(0, 3)) == 0:
        items.append(f"(SELECT count() FROM {{{draw(TABLES)}}} AS s WHERE s.n = a.k)")
    named = [f"{item} AS c{place}" for place, item in enumerate([*keys, *items])]
    text = f"SELECT {', '.join(named)} FROM {joins}{_where(draw, aliases, deep=True)}"
    if draw(st.integers(0, 7)) == 0:
        number = f"row_number() OVER (PARTITION BY {_filled(draw, '{number}', aliases)} ORDER BY "
        text += f" QUALIFY {number}{', '.join(keys)}) <= 2"
    if draw(st.booleans()):
        first = draw(st.lists(st.sampled_from(["{int}", "{day}", "{decimal}"]), max_size=1))
        ways = st.sampled_from(["", " DESC", " NULLS FIRST", " DESC NULLS FIRST"])
        order = [
            f"{key}{draw(ways)}"
            for key in [*(_filled(draw, form, aliases) for form in first), *keys]
        ]
        text += f" ORDER BY {', '.join(order)}"
        if draw(st.booleans()):
            text += f" LIMIT {draw(st.integers(0, 5))}"
    return text


@st.composite
def distinct(draw: Draw) -> str:
    """Each combination of values but once."""
    joins, aliases = _from(draw)
    forms = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    items = [f"{_filled(draw, form, aliases)} AS c{place}" for place, form in enumerate(forms)]
    return f"SELECT DISTINCT {', '.join(items)} FROM {joins}{_where(draw, aliases, deep=True)}"


@st.composite
def groups(draw: Draw) -> str:
    """Aggregates, by groups or of all rows."""
    joins, aliases = _from(draw)
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2))
    by = [_filled(draw, form, aliases) for form in keys]
    forms = draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4))
    items = [*by, *(_filled(draw, form, aliases) for form in forms)]
    named = ", ".join(f"{item} AS c{place}" for place, item in enumerate(items))
    text = f"SELECT {named} FROM {joins}{_where(draw, aliases, deep=True)}"
    if by:
        text += f" GROUP BY {', '.join(f'c{place}' for place in range(len(by)))}"
    if draw(st.integers(0, 2)) == 0:
        text += f" HAVING {_filled(draw, draw(st.sampled_from(AGGREGATES[:5])), aliases)} > 1"
    return text


@st.composite
def sets(draw: Draw) -> str:
    """Two or three queries, put together."""
    signs = ["UNION ALL", "UNION DISTINCT", "INTERSECT", "EXCEPT"]
    forms = draw(
        st.lists(st.sampled_from(["{int}", "{text}", "{day}", "{float}"]), min_size=1, max_size=2)
    )

    def part() -> str:
        joins, aliases = _from(draw)
        items = [f"{_filled(draw, form, aliases)} AS c{place}" for place, form in enumerate(forms)]
        return f"SELECT {', '.join(items)} FROM {joins}{_where(draw, aliases, deep=False)}"

    text = part()
    for _ in range(draw(st.integers(1, 2))):
        text += f" {draw(st.sampled_from(signs))} {part()}"
    return text


@st.composite
def with_ctes(draw: Draw) -> str:
    """Groups that are joined with tables, twice or once."""
    cte = (
        f"WITH few AS (SELECT i.n AS n, count() AS k, sum(i.m) AS m, max(i.d) AS d "
        f"FROM {_relation(draw, 'i')}{_where(draw, ('i',), deep=True)} GROUP BY i.n) "
    )
    kind, link = draw(JOINS), draw(st.sampled_from(["n", "m", "k"]))
    text = (
        f"{cte}SELECT x.n AS c0, x.k AS c1, x.m AS c2, a.k AS c3, a.w AS c4 "
        f"FROM few AS x {kind} {_relation(draw, 'a')} ON a.{link} = x.n"
    )
    if draw(st.booleans()):
        text += f" {draw(JOINS)} few AS y ON y.n = a.m"
    return text + draw(st.sampled_from(["", " WHERE a.n IN (SELECT n FROM few)"]))


QUERIES = st.one_of(rows(), rows(), distinct(), groups(), groups(), sets(), with_ctes())
