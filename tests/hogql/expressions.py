"""Strategies for random expressions of HogQL, as texts."""

from hypothesis import strategies as st

WORDS = ["", "a", "aBc", "ä é", "100%", "x_y", " b "]
Texts = st.SearchStrategy[str]


def joined(form: str, *parts: Texts) -> Texts:
    """The form with its parts put in."""
    return st.tuples(*parts).map(lambda found: form.format(*found))


def literal(text: str) -> str:
    """As it is written in a query."""
    return "'" + text.replace("'", "''") + "'"


words = st.sampled_from(WORDS).map(literal)
# Each kind of expression is made of the kinds below it, a few levels deep.
INTS = st.one_of(st.just("n"), st.just("m"), st.integers(-99, 99).map(lambda n: f"({n})"))
DECIMALS = st.one_of(st.just("d"), st.decimals(-99, 99, places=2).map(lambda d: f"({d:f})"))
STRINGS = st.one_of(st.just("w"), words)
DATES = st.one_of(st.just("day"), st.dates().map(lambda _: "toDate('2024-02-29')"))


def deeper(
    ints: Texts, strings: Texts, dates: Texts, decimals: Texts = DECIMALS
) -> tuple[Texts, Texts, Texts]:
    """Whole numbers, texts and dates that are made of those given."""
    tests = bools(ints, strings, dates, decimals)
    more_ints = st.one_of(
        ints,
        joined("({} + {})", ints, ints),
        joined("({} - {})", ints, ints),
        joined("intDiv({}, {})", ints, ints),
        joined("({} % {})", ints, ints),
        joined("abs({})", ints),
        joined("if({}, {}, {})", tests, ints, ints),
        joined("coalesce({}, {})", ints, ints),
        joined("length({})", strings),
        joined("position({}, {})", strings, words),
        joined("dateDiff('day', {}, {})", dates, dates),
        joined("toDayOfWeek({})", dates),
        joined("toMonth({})", dates),
    )
    more_strings = st.one_of(
        strings,
        joined("({} || {})", strings, strings),
        joined("upper({})", strings),
        joined("lower({})", strings),
        joined("trim({})", strings),
        joined("substring({}, 2, 3)", strings),
        joined("replaceAll({}, 'a', 'bb')", strings),
        joined("multiIf({}, {}, {})", tests, strings, strings),
        joined("nullIf({}, {})", strings, strings),
        joined("toString({})", ints),
    )
    more_dates = st.one_of(
        dates,
        joined("({} + INTERVAL 1 MONTH)", dates),
        joined("({} - INTERVAL 40 DAY)", dates),
        joined("toMonday({})", dates),
        joined("toStartOfWeek({})", dates),
        joined("toStartOfQuarter({})", dates),
        joined("coalesce({}, {})", dates, dates),
    )
    return more_ints, more_strings, more_dates


def bools(ints: Texts, strings: Texts, dates: Texts, decimals: Texts = DECIMALS) -> Texts:
    """Conditions on those."""
    plain = st.one_of(
        joined("({} < {})", ints, ints),
        joined("({} = {})", strings, strings),
        joined("({} <= {})", dates, dates),
        joined("({} IS NULL)", strings),
        joined("({} IN (1, {}))", ints, ints),
        joined("({} LIKE '%a%')", strings),
        joined("startsWith({}, {})", strings, words),
        joined("({} >= 0.5)", decimals),
    )
    return st.one_of(
        plain,
        joined("({} AND {})", plain, plain),
        joined("({} OR {})", plain, plain),
        joined("(NOT {})", plain),
    )


_once = deeper(INTS, STRINGS, DATES)
_twice = deeper(*_once)
ANY = st.one_of(
    *_twice,
    bools(*_once),
    joined("({} * {} - {})", DECIMALS, DECIMALS, _once[0]),
    joined("({} / {})", _once[0], DECIMALS),
)
