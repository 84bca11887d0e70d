"""Views that are kept in a warehouse: over the API, while refreshed, and in queries."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from django.db import connection as database
from django.utils import timezone
from rest_framework.test import APIClient

from connectors import NetworkPolicy
from etl import saved_views, tasks, views
from tests.destinations.ends import BigQuery, Snowflake
from tests.views.conftest import BY_KIND, Events, MakeView, Rows, Save, Vault, refreshed, signed_in
from warehouse import connections, query_executor, synced
from warehouse.errors import ConnectionInUse
from warehouse.models import (
    RefreshStatus,
    RefreshTrigger,
    Team,
    View,
    ViewRefresh,
    WarehouseConnection,
)

pytestmark = pytest.mark.django_db(transaction=True)


def there(vault: Vault, table: str = "by_kind") -> list[tuple[Any, ...]]:
    return vault.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def tables(vault: Vault) -> set[str]:
    found = vault.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in found.fetchall()}


def test_view_is_kept_in_a_warehouse_and_read_there(
    shop: WarehouseConnection, vault: Vault, alice: APIClient, url: str, rows: Rows, team: Team
) -> None:
    body = {"name": "by_kind", "query": BY_KIND, "is_materialized": True}
    place = {"target": "shop", "target_schema": "public"}
    made = alice.post(url, body | place, format="json")
    assert made.status_code == 201, made.json()
    shown = made.json()
    assert (shown["target"], shown["target_table"], shown["is_stored"]) == (
        *("shop", "by_kind", False),
    )
    before = sorted(rows("SELECT kind, n FROM by_kind"))
    ended = views.execute(alice.get(f"{url}{shown['id']}/refreshes/").json()["results"][0]["id"])
    assert ended is not None
    assert (ended.status, ended.error, ended.mode) == ("succeeded", "", "push_down")
    assert there(vault) == [("a", 2, Decimal("3.75")), ("it's", 1, Decimal("9.00"))]
    shown = alice.get(f"{url}{shown['id']}/").json()
    assert (shown["is_stored"], shown["rows"], shown["last_status"]) == (True, 2, "succeeded")
    (listed,) = alice.get(url.replace("views", "catalog"), {"search": "by_kind"}).json()["tables"][
        :1
    ]
    assert (listed["name"], listed["connection"], listed["mode"]) == ("by_kind", "shop", "direct")
    vault.execute("INSERT INTO orders VALUES ('b', 1)")
    assert sorted(rows("SELECT kind, n FROM by_kind")) == before, "as of its refresh"
    asked = "SELECT k.n AS n FROM by_kind AS k JOIN shop.public.orders AS o ON o.kind = k.kind"
    assert sorted(rows(asked)) == [(1,), (2,), (2,)]
    plan = query_executor.plan_hogql(team, asked)
    assert plan.mode == "push_down", "with other tables of the connection"
    assert "by_kind" in plan.legs[0].sql
    planned = alice.post(url.replace("views", "queries/plan"), {"query": asked}, format="json")
    view, orders = planned.json()["tables"]
    assert [view[name] for name in ("connection", "schema", "table", "mode", "in_store")] == [
        *("shop", None, "by_kind", "direct", False)
    ]
    assert datetime.fromisoformat(view["as_of"]) == View.all_teams.get().as_of
    assert (orders["table"], orders["as_of"]) == ("orders", None)
    refreshed(View.all_teams.get())
    assert sorted(rows("SELECT kind, n FROM by_kind")) == [("a", 2), ("b", 1), ("it's", 1)]
    assert tables(vault) == {"orders", "by_kind"}


@pytest.mark.parametrize("mode", ["direct", "hybrid"])
def test_answer_is_as_of_the_refresh_of_the_view_that_it_reads(
    kept: View, alice: APIClient, url: str, rows: Rows, mode: str
) -> None:
    WarehouseConnection.all_teams.update(mode=mode)
    queries, asked = (
        url.replace("views", "queries"),
        {"query": "SELECT max(n) AS most FROM by_kind"},
    )
    refreshed(kept)
    told: dict[str, Any] = {}
    for _ in range(2):
        content: Any = alice.post(queries, asked, format="json").streaming_content
        told = json.loads(b"".join(content))
        assert datetime.fromisoformat(told["as_of"]) == kept.as_of
    entry = alice.get(queries).json()["results"][0]
    assert (entry["outcome"], entry["as_of"]) == ("succeeded", told["as_of"])
    assert told["cached"] is entry["cached"] is (mode == "hybrid")


@pytest.mark.parametrize("provider", ["snowflake", "bigquery"])
def test_other_warehouses_keep_views_too(
    own_store: Any,
    endpoints: dict[str, Any],
    network: NetworkPolicy,
    save: Save,
    make_view: MakeView,
    rows: Rows,
    provider: str,
) -> None:
    place = {"snowflake": Snowflake, "bigquery": BigQuery}[provider](endpoints, network, "")
    place.make()
    try:
        orders = f"{place.schema}.{'ORDERS' if provider == 'snowflake' else 'orders'}"
        place.execute(f"CREATE TABLE {orders} AS SELECT 'a' AS kind, 3 AS n")
        wh = save(provider, name="wh", **signed_in(place))
        query = f"SELECT kind, max(n) AS most, 'b\\\\c' AS odd FROM wh.{orders} GROUP BY kind"
        where = {"target": wh, "target_schema": place.schema, "target_table": "Kept"}
        view = make_view("kept", query, is_materialized=True, **where)
        ended = refreshed(view)
        assert (ended.mode, ended.rows) == ("push_down", 1)
        assert rows("SELECT kind, most, odd FROM kept") == [("a", 3, "b\\c")]
        place.execute(f"INSERT INTO {orders} VALUES ('b', 4)")
        assert rows("SELECT count() AS n FROM kept") == [(1,)]
        refreshed(view)
        assert rows(
            f"SELECT count() AS n FROM kept AS k JOIN wh.{orders} AS o ON o.kind = k.kind"
        ) == [(2,)]
    finally:
        place.drop()


def test_table_that_the_view_did_not_make_is_left_alone(kept: View, vault: Vault) -> None:
    vault.execute("CREATE TABLE by_kind (n int)")
    ended = views.execute(views.request(kept, RefreshTrigger.API).pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RefreshStatus.FAILED, "table_taken")
    assert "public.by_kind" in ended.error
    assert (there(vault), tables(vault)) == ([], {"orders", "by_kind"})


def test_failed_refresh_leaves_the_last_good_table(kept: View, vault: Vault, rows: Rows) -> None:
    refreshed(kept)
    good = there(vault)
    vault.execute("ALTER TABLE orders RENAME TO orders_gone")
    ended = views.execute(views.request(kept, RefreshTrigger.API).pk)
    assert ended is not None
    assert ended.status == RefreshStatus.FAILED
    assert (there(vault), len(rows("SELECT * FROM by_kind"))) == (good, 2)


def test_role_that_cannot_write_says_so(
    shop: Any, save: Save, vault: Vault, make_view: MakeView
) -> None:
    vault.execute("GRANT SELECT ON orders TO PUBLIC")
    reader = save(name="reader")
    query = BY_KIND.replace("shop", "reader")
    view = make_view("v", query, is_materialized=True, target=reader, target_schema="public")
    ended = views.execute(views.request(view, RefreshTrigger.API).pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RefreshStatus.FAILED, "permission_denied")
    assert ended.error.startswith("The role may not make tables in public")


def test_table_in_sync_since_then_is_named_and_the_table_stays(
    kept: View, vault: Vault, shop: WarehouseConnection
) -> None:
    refreshed(kept)
    columns = pa.schema([("kind", pa.string()), ("amount", pa.decimal128(9, 2))])
    synced.publish(shop, "public", "orders", columns, 0, timezone.now())
    ended = views.execute(views.request(kept, RefreshTrigger.API).pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RefreshStatus.FAILED, "target_unfit")
    assert "shop.public.orders in the store" in ended.error
    assert len(there(vault)) == 2


def test_worker_that_is_killed_beside_its_table_is_followed_by_another(
    kept: View, vault: Vault
) -> None:
    refreshed(kept)
    lost = views.claim(views.request(kept, RefreshTrigger.API).pk)
    assert lost is not None
    aside = f"WAREHOUSE_FILL_{kept.pk.hex[:16]}_{lost.fence}"
    vault.execute(f'CREATE TABLE "{aside}" (n int)')
    silent = timezone.now() - timedelta(seconds=60)
    ViewRefresh.all_teams.filter(pk=lost.pk).update(heartbeat_at=silent)
    again = views.execute(lost.pk)
    assert again is not None
    assert (again.status, again.attempt) == (RefreshStatus.SUCCEEDED, 2)
    assert tables(vault) == {"orders", "by_kind"}
    vault.execute(f'CREATE TABLE "{aside}" (n int)')
    ViewRefresh.all_teams.filter(pk=lost.pk).update(
        status=RefreshStatus.RUNNING, heartbeat_at=silent, attempt=3
    )
    views.recover()
    assert tables(vault) == {"orders", "by_kind"}


@pytest.mark.parametrize("end", ["delete", "target", "is_materialized"])
def test_what_a_killed_worker_has_left_goes_with_what_is_not_kept_any_more(
    kept: View, vault: Vault, end: str
) -> None:
    lost = views.claim(views.request(kept, RefreshTrigger.API).pk)
    assert lost is not None
    vault.execute(f'CREATE TABLE "WAREHOUSE_FILL_{kept.pk.hex[:16]}_{lost.fence}" (n int)')
    conf = tasks.tidy_store.app.conf
    conf.task_always_eager = True
    try:
        if end == "delete":
            saved_views.delete(kept)
        else:
            saved_views.update(kept, {end: None if end == "target" else False})
    finally:
        conf.task_always_eager = False
    assert tables(vault) == {"orders"}


def test_two_refreshes_at_once_are_one_after_the_other(kept: View, vault: Vault) -> None:
    first = views.request(kept, RefreshTrigger.API)

    def run(pk: Any) -> ViewRefresh | None:
        try:
            return views.execute(pk)
        finally:
            database.close()

    with ThreadPoolExecutor(2) as threads:
        ended = [one for one in threads.map(run, [first.pk, first.pk]) if one is not None]
    assert [one.status for one in ended] == [RefreshStatus.SUCCEEDED]
    assert (len(there(vault)), tables(vault)) == (2, {"orders", "by_kind"})


def test_view_moves_between_the_store_and_a_warehouse(kept: View, vault: Vault, rows: Rows) -> None:
    refreshed(kept)
    view = saved_views.update(kept, {"target": None})
    assert (view.target_table, view.store_table, view.as_of) == ("", "", None)
    assert refreshed(view).rows == 2
    vault.execute("INSERT INTO orders VALUES ('b', 1)")
    assert len(rows("SELECT * FROM by_kind")) == 2
    assert len(there(vault)) == 2, "the table in the warehouse stays"
    view = saved_views.update(view, {"target": kept.target, "target_schema": "public"})
    assert refreshed(view).rows == 3
    assert len(there(vault)) == 3


def test_deleted_view_leaves_its_table_to_whoever_reads_it(kept: View, vault: Vault) -> None:
    refreshed(kept)
    with pytest.raises(ConnectionInUse):
        connections.delete(WarehouseConnection.all_teams.get(name="shop"))
    saved_views.delete(kept)
    assert len(there(vault)) == 2
    connections.delete(WarehouseConnection.all_teams.get(name="shop"))


def test_views_over_a_view_in_a_warehouse(
    kept: View, vault: Vault, make_view: MakeView, events: Events, rows: Rows
) -> None:
    refreshed(kept)
    busy = make_view("busy", "SELECT kind FROM by_kind WHERE n > 1", is_materialized=True)
    assert refreshed(busy).mode == "push_down"
    assert rows("SELECT * FROM busy") == [("a",)]
    found = rows(
        "SELECT k.n AS n, e.c AS c FROM by_kind AS k, (SELECT count() AS c FROM events) AS e"
    )
    assert sorted(found) == [(1, 100), (2, 100)]
    over = {"is_materialized": True, "target_schema": "public", "target": kept.target}
    high = make_view("high", "SELECT max(n) AS most FROM by_kind", **over)
    refreshed(high)
    assert there(vault, "high") == [(2,)]


def test_lineage_leads_to_the_table_that_keeps_the_view(
    kept: View, alice: APIClient, url: str, shop: WarehouseConnection
) -> None:
    refreshed(kept)
    found = alice.get(f"{url}{kept.pk}/lineage/").json()
    edges = {(edge["read"], edge["reader"]) for edge in found["edges"]}
    source, table = f"table:{shop.pk}.public.orders", f"table:{shop.pk}.public.by_kind"
    assert edges == {
        (f"connection:{shop.pk}", source),
        (source, f"view:{kept.pk}"),
        (f"view:{kept.pk}", table),
        (f"connection:{shop.pk}", table),
    }
    nodes = {node["id"]: node for node in found["nodes"]}
    assert (nodes[table]["name"], nodes[f"view:{kept.pk}"]["mode"]) == (
        *("shop.public.by_kind", "direct"),
    )


def test_text_with_signs_that_need_care_arrives_as_it_is(
    shop: Any, vault: Vault, make_view: MakeView
) -> None:
    query = "SELECT kind, 'a\\\\b''c%s$1' AS odd FROM shop.public.orders WHERE kind = 'it''s'"
    place = {"target": shop, "target_schema": "public"}
    refreshed(make_view("odd", query, is_materialized=True, **place))
    assert there(vault, "odd") == [("it's", "a\\b'c%s$1")]
