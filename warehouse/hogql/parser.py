"""Text to the parser's tree, within a bound of time and memory whatever the text."""

import os
import select
import subprocess
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson

from connectors.errors import WarehouseBusy
from warehouse.hogql.errors import HogQLRefused, HogQLTooComplex, HogQLUnreadable
from warehouse.hogql.source import Place

MAX_CHARS = 50_000
MAX_TREE_BYTES = 16 << 20
PARSE_TIMEOUT_S = 20.0
"""Whatever the machine is busy with. Before that a parse ends by its own time, ``MAX_CPU_S``: a
normal query takes 10 ms, the longest of TPC-H half a second in a process just started.

Measured without a bound: 200 nested parentheses or calls take more than 20 s, and each doubling
of ``a.b.c…`` takes ten times as long; from some thousand on the parser itself refuses.
"""
MAX_AT_ONCE = 4
"""Parsers of one process of the service, each with its bound of memory."""
MAX_IDLE = 2
SCRIPT = Path(__file__).with_name("parser_process.py")
READ_BYTES = 1 << 16


@lru_cache(maxsize=256)
def parse(text: str) -> bytes:
    """The parser's tree as JSON; raises HogQLUnreadable, HogQLRefused or HogQLTooComplex."""
    if len(text) > MAX_CHARS:
        raise HogQLTooComplex(f"The query has more than {MAX_CHARS:,} characters.")
    try:
        request = text.encode()
    except UnicodeEncodeError as exc:
        raise HogQLUnreadable("That is no text.", Place.of(text, exc.start)) from None
    if "\x00" in text:
        raise HogQLUnreadable("That is no text.", Place.of(text, text.index("\x00")))
    answer = _pool.ask(request)
    if b'"error":true' in answer[:1000]:
        _raise(text, orjson.loads(answer))
    return answer


def _raise(text: str, answer: dict[str, Any]) -> None:
    place = Place.of(text, min(answer["start"]["offset"], len(text)))
    said = str(answer["message"])
    if said.startswith("input too dee"):
        raise HogQLTooComplex("The query is nested too deeply.", place)
    if said.startswith("Maximum recursion depth"):
        raise HogQLTooComplex("The query is nested too deeply, or joins too much.")
    if answer["type"] != "SyntaxError":
        # It tells the rule, and no place.
        rule = said.rpartition(" ")[2].removeprefix("ColumnExpr").removeprefix("SelectStmt.")
        raise HogQLRefused(f"{rule.removesuffix('()')} is not part of HogQL here.")
    raise HogQLUnreadable(f"Here the query cannot be parsed: {place.excerpt!r}.", place)


class _Process:
    """One parser. Its owner ends it when an answer does not come."""

    def __init__(self) -> None:
        # Nothing of the environment: it holds secrets, and the parser needs none of it.
        self._process = subprocess.Popen(  # noqa: S603 our own script
            [sys.executable, "-I", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            bufsize=0,
        )

    def ask(self, request: bytes, deadline: float) -> bytes | None:
        """Its answer; ``None`` when there is none in time, or it has died of the request."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The parser has no pipes.")
        try:
            stdin.write(len(request).to_bytes(4, "big") + request)
        except BrokenPipeError:
            return None
        size = _read(stdout, 4, deadline)
        if size is None or (length := int.from_bytes(size, "big")) > MAX_TREE_BYTES:
            return None
        return _read(stdout, length, deadline)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def _read(stream: IO[bytes], size: int, deadline: float) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(stream.fileno(), min(READ_BYTES, size - len(parts))) if ready else b""
        if not part:
            return None
        parts += part
    return bytes(parts)


class _Pool:
    """Parsers that work or wait for the next text."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def ask(self, request: bytes) -> bytes:
        """The answer of a parser; raises HogQLTooComplex, and WarehouseBusy where all work."""
        if not self._places.acquire(timeout=PARSE_TIMEOUT_S):
            raise WarehouseBusy("All parsers are at work.")
        try:
            return self._answer(request)
        finally:
            self._places.release()

    def _answer(self, request: bytes) -> bytes:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        process = process or _Process()
        answer = None
        try:
            answer = process.ask(request, time.monotonic() + PARSE_TIMEOUT_S)
        finally:
            self._give_back(process, usable=answer is not None)
        if answer is None:
            raise HogQLTooComplex("The query keeps the parser busy for too long.")
        return answer

    def _give_back(self, process: _Process, *, usable: bool) -> None:
        with self._lock:
            if usable and len(self._idle) < MAX_IDLE:
                self._idle.append(process)
                return
        process.end()

    def _forget(self) -> None:
        # The parent goes on with them; two cannot read one pipe.
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._idle: list[_Process] = []


_pool = _Pool()
