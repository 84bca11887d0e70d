"""The main job, step by step, over REST: connections, prices, queries, and the pipeline twice."""

import time
from decimal import Decimal
from typing import Any

from sandbox.datavault.backend import wait_until_stored
from sandbox.datavault.ingest import ingest, update
from service.main_job.client import Api, StepFailed
from service.main_job.screen import Screen

RECORDS = 200_000
NEW, CHANGED = 1_000, 500
SEED = 1
SAMPLE = 20
POLL_S = 0.2
RUN_TIMEOUT_S = 600

COUNT_POSTGRES = "SELECT count(*) FROM records"
COUNT_SNOWFLAKE = "SELECT COUNT(*) FROM RECORDS"
QUERIES = {
    "postgres": "SELECT tenant, count(*) AS records FROM records GROUP BY tenant "
    "ORDER BY records DESC, tenant LIMIT 5",
    "bigquery": "SELECT plan_id, SUM(requests) AS requests FROM analytics.usage GROUP BY plan_id "
    "ORDER BY requests DESC, plan_id LIMIT 5",
    "snowflake": "SELECT TENANT, COUNT(*) AS RECORDS FROM RECORDS GROUP BY TENANT "
    "ORDER BY RECORDS DESC, TENANT LIMIT 5",
}


class Vault:
    """The sample application as its users meet it: records go in at the front."""

    def __init__(self, redis_url: str, key: bytes) -> None:
        self._redis_url = redis_url
        self._key = key

    def add(self, screen: Screen, first: int, count: int) -> None:
        with screen.bar("records sent", count) as show:
            ingest(self._redis_url, self._key, first, count, SEED, report=lambda n: show(n, count))
        self._await_stored()

    def change(self, count: int, of: int) -> None:
        update(self._redis_url, self._key, count, of, SEED)
        self._await_stored()

    def _await_stored(self) -> None:
        wait_until_stored(self._redis_url)


def credentials(endpoints: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a team would type in, by provider."""
    snowflake, bigquery = endpoints["snowflake"], endpoints["bigquery"]
    fields = "account user password warehouse database schema host port protocol".split()
    return {
        "postgres": endpoints["postgres"]["reader"],
        "snowflake": {name: snowflake[name] for name in fields},
        "bigquery": {
            "project": bigquery["project"],
            "dataset": bigquery["dataset"],
            "service_account_json": bigquery["service_account"],
            "api_endpoint": bigquery["api_endpoint"],
            "storage_endpoint": bigquery["storage_endpoint"],
        },
    }


def make_stage(endpoints: dict[str, Any], team_id: str) -> str:
    """What the account's administrator does once: an external stage on the team's own folder."""
    import snowflake.connector

    found, name = endpoints["snowflake"], f"STAGE_{team_id.replace('-', '_').upper()}"
    fields = credentials(endpoints)["snowflake"]
    with snowflake.connector.connect(**fields) as connection:
        connection.cursor().execute(
            f'CREATE STAGE IF NOT EXISTS "{found["schema"]}"."{name}" '
            f"URL = 's3://{endpoints['s3']['bucket']}/{team_id}/'"
        )
    return name


class Story:
    """The steps share the connections they make; each raises StepFailed when it does not hold."""

    def __init__(self, screen: Screen, api: Api, endpoints: dict[str, Any], vault: Vault) -> None:
        self._screen = screen
        self._api = api
        self._endpoints = endpoints
        self._vault = vault
        self.connections: dict[str, str] = {}

    def tell(self) -> None:
        """The whole main job."""
        self._screen.title("Connections")
        for provider, fields in credentials(self._endpoints).items():
            self._create(provider, fields)
        for provider in self.connections:
            self._test(provider)
        self._screen.title("Explore, price, query")
        for provider in ("postgres", "bigquery"):
            self._explore(provider)
        self._screen.title("Pipeline: Postgres → S3 Parquet → Snowflake")
        pipeline_id = self._create_pipeline()
        self._run_pipeline(pipeline_id)
        self._compare(RECORDS)
        with self._screen.step("add and change") as said:
            self._vault.add(self._screen, RECORDS, NEW)
            self._vault.change(CHANGED, of=RECORDS)
            said.append(f"{NEW:,} new, {CHANGED:,} changed")
        moved = self._run_pipeline(pipeline_id)
        if moved != NEW + CHANGED:
            raise StepFailed(f"{moved} rows moved where {NEW + CHANGED} were expected.")
        self._compare(RECORDS + NEW, f"{moved:,} rows moved, ")
        self._explore("snowflake")

    def moved_to(self) -> tuple[str, list[str]]:
        """The schema in Snowflake that has the records, and their tenants."""
        sql = "SELECT DISTINCT TENANT FROM RECORDS ORDER BY TENANT"
        tenants = self._api.rows(self.connections["snowflake"], sql)
        return self._endpoints["snowflake"]["schema"], [tenant for (tenant,) in tenants]

    def _create(self, provider: str, fields: dict[str, Any]) -> None:
        with self._screen.step(f"create {provider}") as said:
            made = self._api.post(
                "/warehouse_connections/",
                {"name": f"{provider} sandbox", "provider": provider, "credentials": fields},
            )
            self.connections[provider] = made["id"]
            said.append(made["target"])

    def _test(self, provider: str) -> None:
        with self._screen.step(f"test {provider}") as said:
            report = self._api.post(f"/warehouse_connections/{self.connections[provider]}/test/")
            said.extend(f"{step['name']} {step['ms']:.0f} ms" for step in report["steps"])
            if not report["ok"]:
                raise StepFailed(f"{report['steps'][-1]}")

    def _explore(self, provider: str) -> None:
        path, sql = f"/warehouse_connections/{self.connections[provider]}", QUERIES[provider]
        with self._screen.step(f"tables of {provider}") as said:
            tables = self._api.get(f"{path}/schema/")["tables"]
            said.append(", ".join(f"{t['name']} ({len(t['columns'])} columns)" for t in tables))
        with self._screen.step(f"price on {provider}") as said:
            said.extend(_price(self._api.post(f"{path}/estimate_cost/", {"sql": sql})))
        with self._screen.step(f"query on {provider}") as said:
            rows = self._api.rows(self.connections[provider], sql)
            said.append(f"{len(rows)} rows, first {rows[0]}")

    def _create_pipeline(self) -> str:
        with self._screen.step("create stage") as said:
            stage = make_stage(self._endpoints, self._api.team_id)
            said.append(f"{stage[:14]}… on the team's folder of the bucket")
        with self._screen.step("create pipeline") as said:
            made = self._api.post(
                "/pipelines/",
                {
                    "name": "datavault to snowflake",
                    "source": self.connections["postgres"],
                    "destination": self.connections["snowflake"],
                    "destination_schema": self._endpoints["snowflake"]["schema"],
                    "stage": stage,
                    "schedule": "0 2 * * *",
                    "tables": [{"source_schema": "public", "source_table": "records"}],
                },
            )
            said.append(f"public.records, nightly ({made['schedule']} UTC)")
            return str(made["id"])

    def _run_pipeline(self, pipeline_id: str) -> int:
        """Queue a run, show its bar until it ends; the rows it moved."""
        with self._screen.step("run pipeline") as said:
            run = self._api.post(f"/pipelines/{pipeline_id}/run/")
            table = self._watch(pipeline_id, run["id"])["tables"][0]
            size = table["bytes_staged"] / 1e6
            said.append(f"{table['rows']:,} rows, {size:.1f} MB of Parquet staged and loaded")
            return int(table["rows"])

    def _watch(self, pipeline_id: str, run_id: str) -> Any:
        deadline = time.monotonic() + RUN_TIMEOUT_S
        with self._screen.bar("rows extracted", None) as show:
            while time.monotonic() < deadline:
                run = self._api.get(f"/pipelines/{pipeline_id}/runs/")["results"][0]
                if run["id"] == run_id and run["finished_at"]:
                    break
                show(run["tables"][0]["rows"], run["tables"][0]["rows_expected"])
                time.sleep(POLL_S)
        if run["status"] != "succeeded":
            raise StepFailed(f"The run is {run['status']}: {run['error_code']} {run['error']}")
        return run

    def _compare(self, expected: int, before: str = "") -> None:
        """Rows and a sample of encrypted payloads are the same at both ends."""
        postgres, snowflake = self.connections["postgres"], self.connections["snowflake"]
        with self._screen.step("compare") as said:
            source = self._api.rows(postgres, COUNT_POSTGRES)[0][0]
            target = int(self._api.rows(snowflake, COUNT_SNOWFLAKE)[0][0])
            if not source == target == expected:
                raise StepFailed(f"{source} rows in Postgres, {target} in Snowflake.")
            order = "ORDER BY tenant, key LIMIT " + str(SAMPLE)
            sample = self._api.rows(postgres, f"SELECT key, payload FROM records {order}")
            if sample != self._api.rows(snowflake, f"SELECT KEY, PAYLOAD FROM RECORDS {order}"):
                raise StepFailed("Encrypted payloads differ between Postgres and Snowflake.")
            said.append(f"{before}{source:,} rows in Postgres = {target:,} in Snowflake")
            said.append(f"{len(sample)} sampled payloads identical")


def _price(estimate: dict[str, Any]) -> list[str]:
    cost, scanned = estimate["cost"], estimate["bytes_scanned"]
    size = "bytes unknown" if scanned is None else f"{scanned / 1e6:,.2f} MB"
    if cost["low"] is None:
        return [size, "no price per query"]
    low, high = Decimal(cost["low"]), Decimal(cost["high"])
    amount = f"{low:.6f}" if low == high else f"{low:.6f} to {high:.6f}"
    return [size, f"{amount} {cost['currency']}", cost["basis"]]
