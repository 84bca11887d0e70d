"""Results on their way to the client, and how they are described."""

from typing import Any

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import ttypes as t

from sandbox.databricks import results
from sandbox.databricks.answers import OK, cleaned, failed
from sandbox.databricks.history import Operation
from sandbox.databricks.sessions import Sessions
from sandbox.databricks.upstream import Upstream

# Rows are Python objects on their way through; more of them at once would only cost memory.
ROWS_AT_ONCE = 20_000
_DEFAULT_BYTES = 100 << 20


class NoRows(Exception):
    """Rows were asked for and there is an error instead."""

    def __init__(self, status: Any) -> None:
        super().__init__(status.errorMessage)
        self.status = status


class Fetching:
    """Describes and fetches the results of operations."""

    def __init__(self, upstream: Upstream, sessions: Sessions, catalog: str) -> None:
        self._upstream = upstream
        self._sessions = sessions
        self._catalog = catalog

    def metadata(self, operation: Operation) -> Any:
        """Return the columns of a result, as GetResultSetMetadata does."""
        try:
            return self._described(operation)
        except NoRows as error:
            return t.TGetResultSetMetadataResp(status=error.status)

    def fetch(self, operation: Operation, max_rows: int, max_bytes: int | None) -> Any:
        """Return the next rows, as FetchResults does."""
        start, batches, has_more = operation.rows_sent, [], True
        left, room = max_rows, max_bytes or _DEFAULT_BYTES
        try:
            while left > 0 and room > 0 and has_more:
                rows = self._next_rows(operation, min(left, ROWS_AT_ONCE))
                has_more = rows.num_rows > 0
                left, room = left - rows.num_rows, room - rows.nbytes
                if has_more:
                    batches.append(results.packed(rows))
            metadata = self._described(operation)
        except NoRows as error:
            return t.TFetchResultsResp(status=error.status)
        return t.TFetchResultsResp(
            status=OK,
            hasMoreRows=has_more,
            results=t.TRowSet(startRowOffset=start, rows=[], arrowBatches=batches),
            resultSetMetadata=metadata,
        )

    def _described(self, operation: Operation) -> Any:
        layout = self._layout(operation)
        return t.TGetResultSetMetadataResp(
            status=OK,
            schema=layout.thrift,
            arrowSchema=layout.arrow_bytes,
            resultFormat=t.TSparkRowSetType.ARROW_BASED_SET,
            lz4Compressed=True,
        )

    def _layout(self, operation: Operation) -> results.Layout:
        if operation.layout is None:
            request = t.TGetResultSetMetadataReq(operationHandle=operation.handle)
            answer = cleaned(self._upstream.call("GetResultSetMetadata", request), self._catalog)
            if answer.schema is None:
                raise NoRows(answer.status)
            session = self._sessions.of(operation.session)
            zone = session.time_zone if session else "UTC"
            operation.layout = results.layout(
                answer.schema, operation.columns, zone, operation.catalog
            )
        found: results.Layout = operation.layout
        return found

    def _next_rows(self, operation: Operation, rows: int) -> pa.RecordBatch:
        """Return the next rows, none at the end; raise NoRows."""
        layout = self._layout(operation)
        if operation.row_limit:
            rows = min(rows, operation.row_limit - operation.rows_sent)
        if rows == 0:
            return results.batch((), layout)
        request = t.TFetchResultsReq(
            operationHandle=operation.handle,
            orientation=t.TFetchOrientation.FETCH_NEXT,
            maxRows=rows,
        )
        answer = cleaned(self._upstream.call("FetchResults", request), self._catalog)
        if answer.results is None:
            raise NoRows(answer.status)
        try:
            found = results.batch(answer.results.columns, layout)
        except pa.ArrowInvalid as error:
            raise NoRows(failed(f"The stand-in cannot carry a value: {error}")) from error
        operation.rows_sent += found.num_rows
        return found
