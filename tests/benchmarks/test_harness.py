"""The harness of the benchmarks: turns, medians, ratios, and what it says when something fails."""

import json
from pathlib import Path

from rich.console import Console

from tests.benchmarks.contender import peak_rss_mb
from tests.benchmarks.harness import FLOOR, Bench, Case, Contender

NOTED = """
import json, sys
who, path, seconds = sys.argv[1:]
open(path, "a").write(who + " ")
print("a word before")
print(json.dumps({"seconds": float(seconds), "peak_rss_mb": 12.3, "rows": 7, "bytes": None}))
"""
MEASURED = """
from tests.benchmarks.contender import run_contender
run_contender(lambda: (len(bytearray(64_000_000)), None))
"""


def noted(who: str, path: Path, seconds: float) -> Contender:
    return Contender(who, ("-c", NOTED, who, str(path), str(seconds)))


def quiet_bench(tmp_path: Path) -> Bench:
    return Bench("trial", Console(file=(tmp_path / "screen").open("w"), width=120))


def test_contenders_run_by_turns_and_are_told_with_their_ratio(tmp_path: Path) -> None:
    turns = tmp_path / "turns"
    turns.touch()
    bench = quiet_bench(tmp_path)
    case = Case("copying", (noted("ours", turns, 3), noted(FLOOR, turns, 2)))
    bench.run([case], rounds=2)
    bench.write(str(tmp_path / "report.json"))
    assert turns.read_text().split() == ["ours", FLOOR, "ours", FLOOR]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["name"] == "trial"
    assert report["machine"]["cpus"] > 0
    assert report["cases"][0] == {
        "case": "copying",
        "who": "ours",
        "seconds": 3.0,
        "min": 3.0,
        "max": 3.0,
        "peak_rss_mb": 12,
        "rows": 7,
        "bytes": None,
        "ratio_to_floor": 1.5,
    }


def test_contender_that_fails_is_listed_with_the_reason(tmp_path: Path) -> None:
    bench = quiet_bench(tmp_path)
    failing = Contender("peer", ("-c", "raise SystemExit('It does not install.')"))
    bench.run([Case("copying", (failing, noted(FLOOR, tmp_path / "turns", 1)))], rounds=2)
    bench.show()
    entries = bench.report()["cases"]
    assert entries[0] == {"case": "copying", "who": "peer", "error": "It does not install."}
    assert entries[1]["ratio_to_floor"] == 1.0
    assert "copying, peer: It does not install." in (tmp_path / "screen").read_text()


def test_memory_is_that_of_the_contender_and_not_of_who_started_it(tmp_path: Path) -> None:
    held = bytearray(300_000_000)
    bench = quiet_bench(tmp_path)
    bench.run([Case("memory", (Contender("ours", ("-c", MEASURED)),))], rounds=1)
    [run] = bench.outcomes[0].runs
    assert 64 < run["peak_rss_mb"] < 250 < len(held) / 1_000_000 < peak_rss_mb()
    assert run["rows"] == 64_000_000
