"""ClickHouse's errors as ours, by its numeric code.

Codes: src/Common/ErrorCodes.cpp of ClickHouse. What it said itself goes to the log, never to a
caller; an unknown code is terminal.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from urllib3.exceptions import HTTPError, NewConnectionError

from connectors import errors
from connectors.errors import ConnectorError
from warehouse.errors import StoreLost, StoreUnavailable

CODES: dict[int, type[ConnectorError]] = {
    **dict.fromkeys([47, 60, 81], errors.ObjectNotFound),
    **dict.fromkeys([42, 43, 44, 46, 53, 62, 63, 184, 207, 215, 352, 386, 403, 579],
                    errors.SqlInvalid),
    **dict.fromkeys([26, 457, 456], errors.InvalidParameters),
    **dict.fromkeys([164, 452, 497, 358], errors.PermissionDenied),
    **dict.fromkeys([158, 160, 162, 167, 168, 191, 241, 290, 306, 307, 396, 572],
                    errors.LimitExceeded),
    **dict.fromkeys([6, 25, 27, 32, 38, 41, 69, 70, 72, 125, 131, 153, 190, 349, 395, 407, 691],
                    errors.DataError),
    **dict.fromkeys([202, 252, 373], errors.WarehouseBusy),
    **dict.fromkeys([192, 193, 194, 516], errors.CredentialsRejected),
    159: errors.QueryTimeout,
    394: errors.QueryCancelled,
    **dict.fromkeys([209, 210, 279], StoreLost),
}  # fmt: skip

_CODE = re.compile(rb"\s*Code: (\d+)\. DB::")


@contextmanager
def told(tail: "Tail | None" = None) -> Iterator[None]:
    """Raise ours for what the client, its transport or a broken stream raises.

    ``tail`` is the end of a stream: an error that comes after the first rows stands there.
    """
    try:
        yield
    except Exception as exc:
        from clickhouse_connect.driver.exceptions import Error as ClientError

        if not isinstance(exc, ClientError | HTTPError | OSError | pa.ArrowException):
            raise
        raise _ours(exc, tail) from exc


class Tail:
    """The last bytes of a stream that has been read.

    ``tag`` is what this answer's server would mark an error with; rows cannot know it.
    """

    LENGTH = 64 * 1024

    def __init__(self, tag: str | None) -> None:
        self._mark = f"__exception__\r\n{tag}\r\n".encode() if tag else None
        self._kept = b""

    def add(self, part: bytes) -> None:
        self._kept = (self._kept + part)[-self.LENGTH :]

    def code(self) -> int | None:
        """The number of the error that ClickHouse has put at the end, if there is one."""
        if self._mark is None or self._mark not in self._kept:
            return None
        found = _CODE.match(self._kept.rpartition(self._mark)[2])
        return int(found[1]) if found else None


def _ours(exc: Exception, tail: Tail | None) -> ConnectorError:
    code = getattr(exc, "code", None) or (tail.code() if tail else None)
    if code is not None:
        return CODES.get(code, errors.WarehouseError)()
    if any(isinstance(cause, NewConnectionError) for cause in _causes(exc)):
        return StoreUnavailable()
    if isinstance(exc, pa.ArrowException) and not isinstance(exc, OSError):
        # Rows that cannot be read, of a stream that has not been cut off.
        return errors.WarehouseError()
    return StoreLost() if _is_transport(exc) else errors.WarehouseError()


def _is_transport(exc: Exception) -> bool:
    return any(isinstance(cause, HTTPError | OSError) for cause in _causes(exc))


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        reason = getattr(exc, "reason", None)
        exc = reason if isinstance(reason, Exception) else exc.__cause__ or exc.__context__
