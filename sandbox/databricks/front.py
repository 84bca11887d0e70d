"""The warehouse's side of Thrift: each call is passed to Spark and its answer made Databricks'."""

# The names of the methods are Thrift's.
# ruff: noqa: N802

import re
from typing import Any

from databricks.sql.thrift_api.TCLIService import ttypes as t

from sandbox.databricks import statements
from sandbox.databricks.answers import NO_OPERATION, NO_SESSION, OK, cleaned, failed, said
from sandbox.databricks.endings import Endings
from sandbox.databricks.fetching import ROWS_AT_ONCE, Fetching
from sandbox.databricks.history import History, Operation
from sandbox.databricks.sessions import Session, Sessions, spark_settings
from sandbox.databricks.settings import Settings
from sandbox.databricks.upstream import Upstream

_SPARK_PROTOCOL = t.TProtocolVersion.HIVE_CLI_SERVICE_PROTOCOL_V8
_OUR_PROTOCOL = t.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
_TAGS = "query_tags"
_NOWHERE = "-"
_NO_CATALOG = "[NO_SUCH_CATALOG_EXCEPTION] Catalog '{}' was not found. SQLSTATE: 42704"


class Front:
    """Answers the calls of all clients. Method names are those of the Thrift service."""

    def __init__(self, settings: Settings, upstream: Upstream, history: History) -> None:
        self._catalog = settings.catalog
        self._upstream = upstream
        self._history = history
        self._sessions = Sessions()
        self._fetching = Fetching(upstream, self._sessions, self._catalog)
        self._endings = Endings(upstream, history, self._sessions)

    # Sessions

    def OpenSession(self, request: Any) -> Any:
        wanted = request.configuration or {}
        namespace = request.initialNamespace or t.TNamespace()
        if namespace.catalogName not in (None, self._catalog):
            status = failed(_NO_CATALOG.format(namespace.catalogName))
            return t.TOpenSessionResp(status=status)
        request.client_protocol, request.client_protocol_i64 = _SPARK_PROTOCOL, None
        request.configuration = spark_settings(wanted, namespace.schemaName)
        request.initialNamespace = None
        connection = self._upstream.connect()
        answer = cleaned(connection.call("OpenSession", request), self._catalog)
        if answer.sessionHandle is None:
            connection.close()
            return answer
        self._sessions.add(answer.sessionHandle, connection, wanted)
        answer.serverProtocolVersion = _OUR_PROTOCOL
        answer.canUseMultipleCatalogs = True
        answer.initialNamespace = namespace
        return answer

    def CloseSession(self, request: Any) -> Any:
        return cleaned(self._endings.close_session(request), self._catalog)

    # Statements

    def ExecuteStatement(self, request: Any) -> Any:
        session = self._sessions.get(request.sessionHandle)
        if session is None:
            return t.TExecuteStatementResp(status=failed(NO_SESSION))
        text, overlay = request.statement, request.confOverlay or {}
        if (seconds := statements.timeout_set_by(text)) is not None:
            session.timeout_s = seconds
        columns = self._prepare(request, session)
        answer = self._call("ExecuteStatement", request)
        if answer.operationHandle is not None:
            operation = Operation(
                answer.operationHandle,
                request.sessionHandle.sessionId.guid,
                text,
                columns,
                tags=overlay.get(_TAGS, session.tags),
                row_limit=request.resultRowLimit,
                timeout_s=session.timeout_s,
            )
            self._history.add(operation)
        return answer

    def _prepare(self, request: Any, session: Session) -> list[tuple[str, str]]:
        """Make the request one that Spark understands; return its columns if it is a query."""
        parameters = request.parameters or []
        sql = statements.in_spark_names(request.statement, self._catalog)
        columns: list[tuple[str, str]] = []
        if statements.is_query(sql):
            columns = self._describe(request.sessionHandle, statements.described(sql, parameters))
        if any(_is_variant(kind) for _, kind in columns):
            # Spark's server has no Thrift type for it.
            sql = statements.with_json_for(sql, columns, _is_variant)
        request.statement = statements.bound(sql, parameters)
        request.queryTimeout = session.timeout_s
        request.parameters = request.confOverlay = request.getDirectResults = None
        return columns

    def _describe(self, session: Any, sql: str) -> list[tuple[str, str]]:
        """Names and types of a query's columns; none when it is wrong, which running it shows."""
        request = t.TExecuteStatementReq(sessionHandle=session, statement=sql, runAsync=False)
        answer = self._upstream.call("ExecuteStatement", request)
        if answer.operationHandle is None:
            return []
        fetch = t.TFetchResultsReq(
            operationHandle=answer.operationHandle,
            orientation=t.TFetchOrientation.FETCH_NEXT,
            maxRows=ROWS_AT_ONCE,
        )
        found = self._upstream.call("FetchResults", fetch)
        close = t.TCloseOperationReq(operationHandle=answer.operationHandle)
        self._upstream.call("CloseOperation", close)
        if found.results is None:
            return []
        names, kinds = (column.stringVal.values for column in found.results.columns[:2])
        return list(zip(names, kinds, strict=True))

    def GetOperationStatus(self, request: Any) -> Any:
        operation = self._history.get(request.operationHandle)
        if operation is not None and operation.status == "CANCELED":
            state = t.TOperationState.CANCELED_STATE
            return t.TGetOperationStatusResp(status=OK, operationState=state)
        answer = self._call("GetOperationStatus", request)
        if operation is None or answer.operationState is None:
            return answer
        operation.went_to(answer.operationState)
        if answer.operationState == t.TOperationState.TIMEDOUT_STATE:
            answer.operationState = t.TOperationState.ERROR_STATE
            answer.errorMessage = f"Statement has timed out after {operation.timeout_s} seconds"
        if answer.operationState == t.TOperationState.ERROR_STATE:
            answer.diagnosticInfo = answer.errorMessage
            answer.errorMessage = said(answer.errorMessage, self._catalog)
            answer.displayMessage = operation.error = answer.errorMessage
        return answer

    def CancelOperation(self, request: Any) -> Any:
        operation = self._history.get(request.operationHandle)
        if operation is None:
            return t.TCancelOperationResp(status=failed(NO_OPERATION))
        return cleaned(self._endings.cancel(operation), self._catalog)

    def CloseOperation(self, request: Any) -> Any:
        operation = self._history.get(request.operationHandle)
        if operation is None:
            return t.TCloseOperationResp(status=failed(NO_OPERATION))
        return cleaned(self._endings.close(operation), self._catalog)

    def statements(self) -> list[dict[str, Any]]:
        """Return all statements with how they go now, latest first."""
        operations = self._history.statements()
        for operation in operations:
            self._endings.refresh(operation)
        return [operation.as_json() for operation in operations]

    # Results

    def GetResultSetMetadata(self, request: Any) -> Any:
        operation = self._history.get(request.operationHandle)
        if operation is None:
            return t.TGetResultSetMetadataResp(status=failed(NO_OPERATION))
        return self._fetching.metadata(operation)

    def FetchResults(self, request: Any) -> Any:
        operation = self._history.get(request.operationHandle)
        if operation is None:
            return t.TFetchResultsResp(status=failed(NO_OPERATION))
        return self._fetching.fetch(operation, request.maxRows, request.maxBytes)

    # Metadata

    def GetCatalogs(self, request: Any) -> Any:
        # Spark's server answers none.
        sql = f"SELECT '{self._catalog}' AS TABLE_CAT"
        statement = t.TExecuteStatementReq(sessionHandle=request.sessionHandle, statement=sql)
        return self._metadata("ExecuteStatement", statement)

    def GetSchemas(self, request: Any) -> Any:
        return self._metadata("GetSchemas", request)

    def GetTables(self, request: Any) -> Any:
        return self._metadata("GetTables", request)

    def GetColumns(self, request: Any) -> Any:
        return self._metadata("GetColumns", request)

    def GetTableTypes(self, request: Any) -> Any:
        return self._metadata("GetTableTypes", request)

    def GetTypeInfo(self, request: Any) -> Any:
        return self._metadata("GetTypeInfo", request)

    def _metadata(self, method: str, request: Any) -> Any:
        request.getDirectResults = None
        if getattr(request, "catalogName", None) is not None:
            if not _is_like(self._catalog, request.catalogName):
                request.schemaName = _NOWHERE
            request.catalogName = None
        answer = self._call(method, request)
        if answer.operationHandle is not None:
            session = request.sessionHandle.sessionId.guid
            self._history.add(Operation(answer.operationHandle, session, catalog=self._catalog))
        return answer

    def _call(self, method: str, request: Any) -> Any:
        return cleaned(self._upstream.call(method, request), self._catalog)


def _is_variant(kind: str) -> bool:
    return kind == "variant"


def _is_like(name: str, pattern: str) -> bool:
    """Tell whether a name fits a pattern of JDBC's metadata calls."""
    plain = {"%": ".*", "_": ".", "\\_": "_", "\\%": "%"}
    parts = re.findall(r"\\?[%_]|.", pattern)
    return re.fullmatch("".join(plain.get(p, re.escape(p)) for p in parts), name, re.I) is not None
