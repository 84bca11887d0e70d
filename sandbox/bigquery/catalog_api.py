"""projects.list, datasets.list, tables.* and tabledata.list, where the emulator's fall short."""

import json
import re
from typing import Any

import pyarrow as pa
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from sandbox.bigquery.call import Call
from sandbox.bigquery.ddl import Tables
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.errors import invalid
from sandbox.bigquery.jobs import Jobs
from sandbox.bigquery.metadata import Metadata
from sandbox.bigquery.passing_on import PassingOn
from sandbox.bigquery.resolve import RESULTS, is_stored
from sandbox.bigquery.rows import page, page_length, page_start
from sandbox.bigquery.runner import Runner
from sandbox.bigquery.settings import LOCATION, Account
from sandbox.bigquery.sizes import Sizes

Resource = dict[str, Any]

_A_PAGE = 50
_LONGEST_PAGE = 1000
_READING = (
    "bigquery.datasets.get",
    "bigquery.tables.get",
    "bigquery.tables.getData",
    "bigquery.tables.list",
    "bigquery.tables.export",
    "bigquery.jobs.create",
)


class CatalogApi:
    """The handlers that show one project's datasets and tables."""

    def __init__(
        self,
        emulator: Emulator,
        metadata: Metadata,
        tables: Tables,
        sizes: Sizes,
        jobs: Jobs,
        runner: Runner,
        passing_on: PassingOn,
        project: str,
    ) -> None:
        self._catalog = emulator.catalog
        self._metadata = metadata
        self._keys = tables
        self._sizes = sizes
        self._jobs = jobs
        self._runner = runner
        self._passing_on = passing_on
        self._project = project

    async def projects(self, call: Call) -> Resource:
        entry = {
            "kind": "bigquery#project",
            "id": self._project,
            "numericId": "1",
            "projectReference": {"projectId": self._project},
            "friendlyName": self._project,
        }
        return {"kind": "bigquery#projectList", "projects": [entry], "totalItems": 1}

    async def datasets(self, call: Call) -> Resource:
        """List the datasets that the sender may see, a page at a time."""
        found = self._metadata.visible_datasets(self._project, call.account)
        entries = [
            {
                "kind": "bigquery#dataset",
                "id": f"{self._project}:{one.dataset_id}",
                "datasetReference": {"projectId": self._project, "datasetId": one.dataset_id},
                "labels": dict(one.labels),
                "location": LOCATION,
            }
            for one in found
        ]
        return _a_page("bigquery#datasetList", "datasets", entries, call)

    async def tables(self, call: Call) -> Resource:
        """List a dataset's tables, a page at a time."""
        dataset = call.path["dataset"]
        self._passing_on.check_access(call.account, self._project, dataset, None)
        found = self._metadata.tables_of(self._catalog.get_dataset(self._project, dataset))
        entries = [self._entry(one) for one in found]
        return _a_page("bigquery#tableList", "tables", entries, call)

    async def table(self, call: Call) -> Resource | Response:
        """Return one table with its schema and real size."""
        if call.path["dataset"] == RESULTS:
            return self._result_table(call)
        return await run_in_threadpool(self._table, call)

    async def rows(self, call: Call) -> Resource:
        """Return a page of a table's rows."""
        return await run_in_threadpool(self._rows, call)

    async def permissions(self, call: Call) -> Resource:
        """Tell which of the asked permissions the sender has on a table."""
        asked = [str(one) for one in call.json().get("permissions") or ()]
        dataset, table = call.path["dataset"], call.path["table"]
        self._passing_on.check_access(call.account, self._project, dataset, table)
        held = [one for one in asked if call.account.can_write or one in _READING]
        return {"permissions": held} if held else {}

    def _table(self, call: Call) -> Resource:
        resource: Resource = json.loads(self._passing_on.answer(call).body)
        ref = (self._project, call.path["dataset"], call.path["table"])
        # The emulator's counts are of the day the table was made.
        resource = {key: one for key, one in resource.items() if not key.startswith("num")}
        meta = self._catalog.get_table(*ref)
        if meta.table_type == "VIEW":
            resource["view"] = {"query": meta.view_query, "useLegacySql": False}
        key = self._keys.primary_key(ref)
        if key:
            resource["tableConstraints"] = {"primaryKey": {"columns": list(key)}}
        resource["location"] = LOCATION
        return resource | self._size(ref, meta)

    def _size(self, ref: tuple[str, str, str], meta: Any) -> Resource:
        size = self._sizes.of([ref]).get(ref) if is_stored(meta) else None
        if size is None:
            return {}
        names = ("numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes")
        return dict.fromkeys(names, str(size.bytes)) | {"numRows": str(size.rows)}

    def _rows(self, call: Call) -> Resource:
        dataset, table = call.path["dataset"], call.path["table"]
        start = page_start(call.query.get("pageToken"), call.number("startIndex") or 0)
        limit = page_length(call.number("maxResults"))
        columns = _columns(call.query.get("selectedFields", ""))
        if dataset == RESULTS:
            stored = self._jobs.result_table(table, call.account)
            total, found = stored.num_rows, stored.slice(start, limit)
            found = found.select(columns) if columns else found
        else:
            total = self._stored_rows(call.account, dataset, table)
            found = self._read(call.account, (dataset, table), columns, (limit, start))
        answer = {"kind": "bigquery#tableDataList", "totalRows": str(total)}
        return answer | page(found, start=start, total=total)

    def _stored_rows(self, account: Account, dataset: str, table: str) -> int:
        self._passing_on.check_access(account, self._project, dataset, table)
        ref = (self._project, dataset, table)
        meta = self._catalog.get_table(*ref)
        if not is_stored(meta):
            raise invalid(f"Cannot list a table of type {meta.table_type}.")
        return self._sizes.of([ref])[ref].rows

    def _read(
        self, account: Account, name: tuple[str, str], columns: list[str], limits: tuple[int, int]
    ) -> pa.Table:
        names = ", ".join(f"`{one}`" for one in columns) or "*"
        sql = f"SELECT {names} FROM `{'`.`'.join(name)}` LIMIT {limits[0]} OFFSET {limits[1]}"
        plan = self._runner.plan(sql, account)
        return self._runner.run(plan, self._runner.open_session(plan), "tabledata").table

    def _result_table(self, call: Call) -> Resource:
        job = self._jobs.job_of_table(call.path["table"], call.account)
        table = self._jobs.result_table(call.path["table"], call.account)
        fields = job.result.fields if job.result else []
        return self._reference(RESULTS, job.table_id) | {
            "type": "TABLE",
            "location": LOCATION,
            "numRows": str(table.num_rows),
            "schema": {"fields": fields},
        }

    def _entry(self, meta: Any) -> Resource:
        entry = self._reference(meta.dataset_id, meta.table_id) | {
            "type": meta.table_type,
            "creationTime": str(int(meta.creation_time.timestamp() * 1000)),
            "labels": dict(meta.labels),
        }
        if meta.time_partitioning is not None:
            partitioning = {
                "type": meta.time_partitioning.type,
                "field": meta.time_partitioning.field,
            }
            entry["timePartitioning"] = partitioning
        return entry

    def _reference(self, dataset: str, table: str) -> Resource:
        return {
            "kind": "bigquery#table",
            "id": f"{self._project}:{dataset}.{table}",
            "tableReference": {
                "projectId": self._project,
                "datasetId": dataset,
                "tableId": table,
            },
        }


def _columns(selected: str) -> list[str]:
    names = [one.strip() for one in selected.split(",") if one.strip()]
    if any(not re.fullmatch(r"\w+", name) for name in names):
        raise invalid(f"Invalid selectedFields: {selected}")
    return names


def _a_page(kind: str, key: str, entries: list[Resource], call: Call) -> Resource:
    start = call.number("pageToken") or 0
    size = min(call.number("maxResults") or _A_PAGE, _LONGEST_PAGE)
    answer: Resource = {"kind": kind, "totalItems": len(entries)}
    if entries[start : start + size]:
        answer[key] = entries[start : start + size]
    if start + size < len(entries):
        answer["nextPageToken"] = str(start + size)
    return answer
