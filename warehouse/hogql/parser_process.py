"""The field's own parser, in a process of its own: ``python parser_process.py``.

It is C++ that a hostile text can keep busy for hours, so whoever asks may end this process. It
wants to import parts of the product it comes from; here those are empty modules, and nowhere else.

A request is 4 bytes of length and a text in UTF-8; an answer is the same with JSON.
"""

import resource
import signal
import sys
from types import ModuleType

MAX_MEMORY_BYTES = 1 << 30
MAX_CPU_S = 5.0


def main() -> None:
    """Answer until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("posthog", "posthog.hogql", "posthog.hogql.errors"):
        sys.modules[name] = ModuleType(name)
    from hogql_parser import parse_select_json

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while size := requests.read(4):
        text = requests.read(int.from_bytes(size, "big")).decode()
        # By the processor's time, for a machine may be busy with others; the signal ends us.
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
        answer = parse_select_json(text).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(len(answer).to_bytes(4, "big") + answer)
        answers.flush()


if __name__ == "__main__":
    main()
