"""What the user sees: a line for each step with its time, and bars for what takes long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

NAME_WIDTH = 26


class Screen:
    """Prints aligned lines: name, seconds, what came out."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def line(self, text: str) -> None:
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step, named by a live line while it runs; what it appends to the list is said
        behind its time."""
        started = time.perf_counter()
        said: list[str] = []
        try:
            with self._console.status(f"{name} …"):
                yield said
        except KeyboardInterrupt:
            self._step_line("–", name, started, ["stopped"])
            raise
        except BaseException:
            self._step_line("✗", name, started, ["failed"])
            raise
        self._step_line("✓", name, started, said)

    def _step_line(self, mark: str, name: str, started: float, said: list[str]) -> None:
        seconds = time.perf_counter() - started
        text = " · ".join(said)
        self.line(f"  {mark} {name:<{NAME_WIDTH}} {seconds:7.2f} s  {text}".rstrip())

    @contextmanager
    def bar(self, name: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
        """A live bar; call what is yielded with what is done and, once known, the total."""
        with Progress(
            TextColumn("    {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done, of: progress.update(task, completed=done, total=of)
