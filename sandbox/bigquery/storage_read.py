"""The Storage Read API: tables and query results as streams of Arrow batches.

As on any insecure channel the client sends no token, so a caller here has no name: it may read
what every account may read.
"""

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from sqlglot import exp

from sandbox.bigquery.errors import ApiError, invalid, not_offered
from sandbox.bigquery.jobs import Jobs
from sandbox.bigquery.resolve import RESULTS
from sandbox.bigquery.runner import Runner
from sandbox.bigquery.settings import LOCATION, LOOPBACK, Account, Settings
from sandbox.bigquery.statements import parse

log = logging.getLogger(__name__)

_SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryRead/"
_ROWS_A_BATCH = 8192
# A client that sets no limit of its own refuses messages of more than 4 MiB.
_BYTES_A_BATCH = 2 * 1024 * 1024
_STREAMS = 4
_SESSIONS_KEPT = 16
_THREADS = 8
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
}


@dataclass(frozen=True)
class _Stream:
    table: pa.Table
    first: int
    rows: int


class StorageRead(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers CreateReadSession and ReadRows."""

    def __init__(self, runner: Runner, jobs: Jobs, settings: Settings) -> None:
        self._runner = runner
        self._jobs = jobs
        self._project = settings.project
        self._nobody = Account(
            f"storage@{settings.project}", "", denied_datasets=settings.denied_to_any
        )
        self._sessions: OrderedDict[str, list[_Stream]] = OrderedDict()
        self._lock = threading.Lock()

    def service(self, details: Any) -> Any:
        """Return the handler of a method; None makes grpc answer UNIMPLEMENTED."""
        if details.method == _SERVICE + "CreateReadSession":
            return grpc.unary_unary_rpc_method_handler(
                _guarded(self._create),
                types.CreateReadSessionRequest.deserialize,
                types.ReadSession.serialize,
            )
        if details.method == _SERVICE + "ReadRows":
            return grpc.unary_stream_rpc_method_handler(
                self._read, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
            )
        return None

    def _create(self, request: Any) -> Any:
        wanted = request.read_session
        if wanted.data_format == types.DataFormat.AVRO:
            raise not_offered("Avro is not offered; ask for Arrow.")
        table = self._table(wanted.table, wanted.read_options)
        name = f"projects/{self._project}/locations/{LOCATION}/sessions/{uuid.uuid4().hex}"
        streams = _split(table, request.max_stream_count)
        with self._lock:
            self._sessions[name] = streams
            while len(self._sessions) > _SESSIONS_KEPT:
                self._sessions.popitem(last=False)
        return types.ReadSession(
            name=name,
            table=wanted.table,
            data_format=types.DataFormat.ARROW,
            read_options=wanted.read_options,
            arrow_schema=types.ArrowSchema(serialized_schema=_serialized(table.schema)),
            streams=[
                types.ReadStream(name=f"{name}/streams/{number}") for number in range(len(streams))
            ],
            estimated_row_count=table.num_rows,
            estimated_total_bytes_scanned=table.nbytes,
        )

    def _read(self, request: Any, context: Any) -> Iterator[Any]:
        stream = self._stream(request.read_stream)
        if stream is None:
            _abort(context, ApiError(404, "notFound", f"No such stream: {request.read_stream}"))
        left = stream.table.slice(stream.first + request.offset, stream.rows - request.offset)
        done = request.offset
        for batch in left.to_batches(max_chunksize=_batch_rows(left)):
            if not context.is_active():
                return
            answer = types.ReadRowsResponse(
                row_count=batch.num_rows,
                arrow_record_batch=types.ArrowRecordBatch(
                    serialized_record_batch=batch.serialize().to_pybytes()
                ),
                stats=_progress(done, batch.num_rows, stream.rows),
            )
            if done == request.offset:
                answer.arrow_schema = types.ArrowSchema(serialized_schema=_serialized(batch.schema))
            done += batch.num_rows
            yield answer

    def _stream(self, name: str) -> _Stream | None:
        session, _, number = name.partition("/streams/")
        with self._lock:
            streams = self._sessions.get(session, [])
        return streams[int(number)] if number.isdecimal() and int(number) < len(streams) else None

    def _table(self, path: str, options: Any) -> pa.Table:
        project, dataset, table = _parts(path)
        if project != self._project:
            raise ApiError(403, "accessDenied", f"Permission denied on project {project}.")
        columns = ", ".join(f"`{one}`" for one in map(_name, options.selected_fields)) or "*"
        if dataset == RESULTS and columns == "*" and not options.row_restriction:
            return self._jobs.result_table(table, self._owner(table))
        sql = f"SELECT {columns} FROM `{project}`.`{dataset}`.`{table}`"
        if options.row_restriction:
            sql = f"{sql} WHERE {options.row_restriction}"
            _check_restriction(sql)
        account = self._owner(table) if dataset == RESULTS else self._nobody
        plan = self._runner.plan(sql, account)
        return self._runner.run(plan, self._runner.open_session(plan), "storage").table

    def _owner(self, table: str) -> Account:
        # A result's name cannot be guessed; to know it is to own it.
        return self._jobs.job_of_table(table, None).account


def start(handler: StorageRead, port: int) -> Any:
    """Serve on a loopback port and return the server."""
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="storage"),
        handlers=(handler,),
        options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    server.add_insecure_port(f"{LOOPBACK}:{port}")
    server.start()
    return server


def _guarded(method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def answer(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except ApiError as error:
            _abort(context, error)
        except Exception as error:
            log.exception("the Storage Read API failed in a way nobody expected")
            _abort(context, not_offered(f"this call broke it: {error}"))

    return answer


def _abort(context: Any, error: ApiError) -> NoReturn:
    context.abort(_CODES.get(error.code, grpc.StatusCode.UNIMPLEMENTED), error.message)
    raise error


def _parts(path: str) -> tuple[str, str, str]:
    match path.split("/"):
        case ["projects", project, "datasets", dataset, "tables", table]:
            return _name(project), _name(dataset), _name(table)
    raise invalid(f"Invalid table path: {path}")


def _name(text: str) -> str:
    if "`" in text or "\\" in text:
        raise invalid(f"Invalid name: {text}")
    return text


def _check_restriction(sql: str) -> None:
    """Refuse a row restriction that is more than a condition on the table's own columns."""
    statement = parse(sql)
    tree = statement.tree
    clauses = {name for name, value in tree.args.items() if value}
    is_plain = isinstance(tree, exp.Select) and clauses == {"expressions", "from_", "where"}
    if len(statement.trees) != 1 or not is_plain or len(list(tree.find_all(exp.Query))) != 1:
        raise invalid("row_restriction must be a condition on the columns of the table.")


def _split(table: pa.Table, most: int) -> list[_Stream]:
    if not table.num_rows:
        return []
    count = min(most or 1, _STREAMS, -(-table.num_rows // _ROWS_A_BATCH))
    size = -(-table.num_rows // count)
    firsts = range(0, table.num_rows, size)
    return [_Stream(table, first, min(size, table.num_rows - first)) for first in firsts]


def _batch_rows(table: pa.Table) -> int:
    row_bytes: int = max(1, table.nbytes // max(1, table.num_rows))
    return max(1, min(_ROWS_A_BATCH, _BYTES_A_BATCH // row_bytes))


def _progress(done: int, more: int, total: int) -> Any:
    progress = types.StreamStats.Progress(
        at_response_start=done / total, at_response_end=(done + more) / total
    )
    return types.StreamStats(progress=progress)


def _serialized(schema: pa.Schema) -> bytes:
    return bytes(schema.serialize().to_pybytes())
