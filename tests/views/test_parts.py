"""Views that are refreshed in part: only where that is the same as whole."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from etl import saved_views
from tests.views.conftest import Events, MakeView, Rows, refreshed
from warehouse.models import Team, View
from warehouse.store import client, names
from warehouse.views import marks, saving

pytestmark = pytest.mark.django_db(transaction=True)

DAILY = """
SELECT toStartOfDay(timestamp) AS day, event, count() AS n, uniq(distinct_id) AS people,
    sum(toInt(properties.amount)) AS amount
FROM events WHERE event <> 'nothing' GROUP BY day, event
"""
Check = Callable[[], Any]


def whole(rows: Rows, query: str) -> list[tuple[Any, ...]]:
    return sorted(rows(query))


def test_changed_days_are_computed_and_the_others_taken_over(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    view = make_view("daily", DAILY, is_materialized=True, bucket="day")
    first = refreshed(view)
    assert (first.is_incremental, first.rows_computed) == (False, first.rows)
    events.add(7)
    second = refreshed(view)
    assert second.is_incremental
    assert second.rows_computed is not None
    assert second.rows_computed <= 4, "of the day that it was on, and of the one that it is on"
    assert whole(rows, "SELECT * FROM daily") == whole(rows, DAILY)
    third = refreshed(view)
    assert (third.is_incremental, third.rows_computed, third.rows) == (True, 0, second.rows)


def test_in_part_is_the_same_as_whole_whatever_changes(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    """Late events, events that take another's place and day, and days that are new or empty."""
    view = make_view("daily", DAILY, is_materialized=True, bucket="day")
    refreshed(view)
    chance = random.Random(1)
    was_incremental = 0
    for turn in range(6):
        events.add(*(chance.randrange(1, 400) for _ in range(chance.randrange(1, 9))), days=40)
        was_incremental += bool(refreshed(view).is_incremental)
        assert whole(rows, "SELECT * FROM daily") == whole(rows, DAILY), turn
    assert was_incremental == 6


@pytest.mark.parametrize(
    ("bucket", "query"),
    [
        ("day", "SELECT toDate(timestamp) AS day, count() AS n FROM events GROUP BY day"),
        ("hour", "SELECT toStartOfHour(timestamp) AS hour, max(event) AS m FROM events GROUP BY 1"),
        ("who", "SELECT distinct_id AS who, max(timestamp) AS t FROM events GROUP BY who"),
        (
            "amount",
            "SELECT nullIf(toInt(properties.amount), 5) AS amount, count() AS n FROM events "
            "GROUP BY amount",
        ),
    ],
)
def test_buckets_of_any_kind(
    events: Events, make_view: MakeView, rows: Rows, bucket: str, query: str
) -> None:
    view = make_view("by_any", query, is_materialized=True, bucket=bucket)
    assert saving.blockers(view) == []
    refreshed(view)
    for numbers in (range(90, 110), range(3), range(500, 800)):
        events.add(*numbers)
        assert refreshed(view).is_incremental
        assert sorted(map(str, rows("SELECT * FROM by_any"))) == sorted(map(str, rows(query)))


def test_view_of_a_materialized_view_follows_all_of_its_changes(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    """Of a table without versions every value counts: rows that change, and rows that go."""
    recent = "SELECT uuid, timestamp, distinct_id FROM events WHERE distinct_id <> 'user 1'"
    low = make_view("low", recent, is_materialized=True)
    refreshed(low)
    query = "SELECT toStartOfDay(timestamp) AS day, max(distinct_id) AS m FROM low GROUP BY day"
    high = make_view("high", query, is_materialized=True, bucket="day")
    refreshed(high)
    for numbers in (range(60, 70), range(70, 80), range(300, 303)):
        events.add(*numbers)
        refreshed(low)
        assert refreshed(high).is_incremental
        assert whole(rows, "SELECT * FROM high") == whole(rows, query)


def test_other_bucket_or_too_many_changes_compute_the_whole(
    events: Events, make_view: MakeView, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view("daily", DAILY, is_materialized=True, bucket="day")
    refreshed(view)
    view = saved_views.update(view, {"bucket": "event"})
    assert not refreshed(view).is_incremental
    monkeypatch.setattr(marks, "MAX_CHANGED", 1)
    events.add(*range(50))
    assert not refreshed(view).is_incremental
    assert whole(rows, "SELECT * FROM daily") == whole(rows, DAILY)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT event AS day FROM events", "GROUP BY day"),
        ("SELECT 1 AS day UNION ALL SELECT 2", "UNION"),
        ("SELECT event AS e, count() AS n FROM events GROUP BY e", "no column day"),
        ("SELECT toDate(timestamp) AS day FROM events GROUP BY day LIMIT 5", "LIMIT"),
        ("SELECT toDate(timestamp) AS day FROM events GROUP BY day HAVING count() > 1", "HAVING"),
        (
            "SELECT toDate(timestamp) AS day, row_number() OVER (ORDER BY toDate(timestamp)) AS r "
            "FROM events GROUP BY day",
            "PARTITION BY day",
        ),
        (
            "SELECT toDate(timestamp) AS day, max(now()) AS t FROM events GROUP BY day",
            "now()",
        ),
        (
            "SELECT toDate(timestamp) AS day, max(today()) AS t FROM events GROUP BY day",
            "today()",
        ),
        ("SELECT toDate(timestamp) AS day, max(person.id) AS p FROM events GROUP BY day", "joins"),
        (
            "SELECT toDate(timestamp) AS day FROM events WHERE uuid IN (SELECT uuid FROM events) "
            "GROUP BY day",
            "query within",
        ),
        ("SELECT day FROM (SELECT toDate(timestamp) AS day FROM events) AS e GROUP BY day", "FROM"),
        ("SELECT x AS day FROM plain GROUP BY day", "view plain, which is not materialized"),
        ("SELECT toFloat(1) AS day FROM events GROUP BY day", "no bucket"),
    ],
)
def test_what_keeps_a_view_from_it_is_named(make_view: MakeView, query: str, said: str) -> None:
    make_view("plain", "SELECT event AS x FROM events")
    view = make_view("v", query, bucket="day")
    assert any(said in one for one in saving.blockers(view)), saving.blockers(view)


def test_view_that_cannot_be_refreshed_in_part_is_refreshed_whole(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    query = "SELECT event AS day, count() AS n FROM events GROUP BY day HAVING count() > 1"
    view = make_view("v", query, is_materialized=True, bucket="day")
    for _ in range(2):
        assert refreshed(view).is_incremental is False
        assert whole(rows, "SELECT * FROM v") == whole(rows, query)
        events.add(1)


def test_reader_sees_no_columns_of_ours(
    events: Events, make_view: MakeView, rows: Rows, team: Team
) -> None:
    view: View = make_view("daily", DAILY, is_materialized=True, bucket="day")
    refreshed(view)
    with client.owner().query(
        f"SELECT * FROM {names.quote(names.database(team.pk))}.{view.store_table} LIMIT 1"
    ) as found:
        assert found.schema.names[-2:] == ["__bucket_rows", "__bucket_sum"]
    assert len(rows("SELECT * FROM daily LIMIT 1")[0]) == 5
