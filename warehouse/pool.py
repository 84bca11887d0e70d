"""Sessions kept between uses, so that not every query signs in anew. One pool a process.

A session serves one connection, in one version of it, for one thread; whatever leaves doubt about
its state ends it.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from connectors.base import Connector
from connectors.errors import (
    ConnectError,
    ConnectionLost,
    ConnectorError,
    QueryCancelled,
    QueryTimeout,
    WarehouseBusy,
    WarehouseError,
)
from warehouse import conf

log = structlog.get_logger(__name__)

MAX_SESSIONS = 32
"""Of one process, over all its connections."""
WAIT_S = 5.0
"""How long a use waits for another to end where there is no room."""
IN_DOUBT = (ConnectError, ConnectionLost, QueryCancelled, QueryTimeout, WarehouseError)
"""Errors after which a session may not be what it was."""


@dataclass(eq=False)
class Session:
    """A place in the pool, with a connector once its first user has made one."""

    owner: Hashable
    version: Hashable
    thread: int = field(default_factory=threading.get_ident)
    connector: Connector | None = None
    idle_since: float | None = None
    """By the monotonic clock; ``None`` while it is used."""
    ends: bool = False
    """It is closed after this use, whatever comes of it."""


class Lease:
    """The use of a session, as long as the context lasts that gave it."""

    def __init__(self, session: Session, connector: Connector) -> None:
        self.connector = connector
        self._session = session

    def end_after(self) -> None:
        """Nobody else shall have this session: a cancel may reach it late, or it is in doubt."""
        self._session.ends = True


class Pool:
    """Never more than ``size`` sessions of one owner, nor MAX_SESSIONS in all, used or idle.

    One that nobody has used for ``idle_s`` is closed, by a thread that lives while any is idle. A
    process that forks keeps its sessions; its child begins with none.
    """

    def __init__(self, size: Callable[[], int], idle_s: Callable[[], float]) -> None:
        self._size = size
        self._idle_s = idle_s
        self._inherited: list[Session] = []
        self._begin()
        os.register_at_fork(after_in_child=self._leave_to_parent)
        atexit.register(self.close)

    @contextmanager
    def lease(
        self, owner: Hashable, version: Hashable, make: Callable[[], Connector]
    ) -> Iterator[Lease]:
        """This thread's session of the owner, or a new one of ``make``, for one use.

        Sessions of the owner in another version are ended. Raises WarehouseBusy where there is
        no room within WAIT_S, and what ``make`` raises.
        """
        session, ended = self._taken(owner, version)
        try:
            _close(ended)
            session.connector = session.connector or make()
            yield Lease(session, session.connector)
        except BaseException as exc:
            session.ends = session.ends or in_doubt(exc)
            raise
        finally:
            self._give_back(session)

    def drop(self, owner: Hashable) -> None:
        """End the owner's sessions: idle ones now, used ones after their use."""
        with self._changed:
            ended = self._outdated(owner, keep=None)
        _close(ended)

    def close(self) -> None:
        """End every idle session."""
        with self._changed:
            ended = self._removed(_idle(self._sessions))
        _close(ended)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._sessions: list[Session] = []
        self._reaper: threading.Thread | None = None

    def _leave_to_parent(self) -> None:
        # Kept, because a client that is collected here would sign the parent's session out.
        self._inherited.extend(self._sessions)
        self._begin()

    def _taken(self, owner: Hashable, version: Hashable) -> tuple[Session, list[Session]]:
        """A session, in use from now on, and those that had to go for it and are to be closed."""
        deadline = time.monotonic() + WAIT_S
        while True:
            with self._changed:
                ended = self._outdated(owner, keep=version)
                session = self._reused(owner, version) or self._placed(owner, version, ended)
                if session is not None:
                    return session, ended
                if not ended and not self._changed.wait(deadline - time.monotonic()):
                    raise WarehouseBusy("Too many queries of this connection run at once.")
            _close(ended)

    def _reused(self, owner: Hashable, version: Hashable) -> Session | None:
        wanted = (owner, version, threading.get_ident())
        for session in _idle(self._sessions):
            if (session.owner, session.version, session.thread) == wanted:
                session.idle_since = None
                return session
        return None

    def _placed(self, owner: Hashable, version: Hashable, ended: list[Session]) -> Session | None:
        """A new session; ``None`` where there is no room, not even in the place of an idle one."""
        own = [session for session in self._sessions if session.owner == owner]
        if not self._has_room(own, self._size(), ended):
            return None
        if not self._has_room(self._sessions, MAX_SESSIONS, ended):
            return None
        session = Session(owner, version)
        self._sessions.append(session)
        return session

    def _has_room(self, among: list[Session], size: int, ended: list[Session]) -> bool:
        if len(among) < size:
            return True
        longest = min(_idle(among), key=_since, default=None)
        if longest is None:
            return False
        ended += self._removed([longest])
        return True

    def _outdated(self, owner: Hashable, keep: Hashable | None) -> list[Session]:
        """The owner's idle sessions of other versions, removed; used ones end after their use."""
        others = [s for s in self._sessions if s.owner == owner and s.version != keep]
        for session in others:
            session.ends = True
        return self._removed(_idle(others))

    def _removed(self, sessions: list[Session]) -> list[Session]:
        self._sessions = [session for session in self._sessions if session not in sessions]
        self._changed.notify_all()
        return sessions

    def _give_back(self, session: Session) -> None:
        connector = session.connector
        if session in self._inherited:
            return
        if connector is None or not connector.is_at_rest or not self._idle_s():
            session.ends = True
        with self._changed:
            if not session.ends:
                session.idle_since = time.monotonic()
                self._changed.notify_all()
                self._watch()
                return
        # Its place is free once it is closed, so that the bound holds in the warehouse too.
        try:
            _close([session])
        finally:
            with self._changed:
                self._removed([session])

    def _watch(self) -> None:
        if self._reaper is None or not self._reaper.is_alive():
            self._reaper = threading.Thread(target=self._reap, name="pool", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        while (due := self._due()) is not None:
            _close(due)

    def _due(self) -> list[Session] | None:
        """Sessions idle for too long, removed, once there are some; ``None`` when none is idle."""
        with self._changed:
            while idle := _idle(self._sessions):
                last = time.monotonic() - self._idle_s()
                if due := [session for session in idle if _since(session) <= last]:
                    return self._removed(due)
                self._changed.wait(min(map(_since, idle)) - last)
            self._reaper = None
            return None


def in_doubt(exc: BaseException) -> bool:
    """Whether a session may not be used again after this has come up in its use."""
    return not isinstance(exc, ConnectorError) or isinstance(exc, IN_DOUBT)


def _idle(sessions: list[Session]) -> list[Session]:
    return [session for session in sessions if session.idle_since is not None]


def _since(session: Session) -> float:
    return session.idle_since or 0.0


def _close(sessions: list[Session]) -> None:
    for session in sessions:
        try:
            if session.connector is not None:
                session.connector.close()
        except ConnectorError as exc:
            log.warning("session.not_closed", connection=str(session.owner), code=exc.code)


pool = Pool(conf.pool_size, conf.pool_idle_s)
