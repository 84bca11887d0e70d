"""`make run ONCE=1`, as a person runs it, and what is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def processes_of(home: Path) -> list[str]:
    """Command lines of processes that have anything to do with a sandbox's folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(home) in word for word in words):
            found.append(" ".join(words))
    return found


def test_main_job_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "sandbox"
    done = subprocess.run(
        [sys.executable, "manage.py", "run", "--once"],
        cwd=ROOT,
        env={**os.environ, "SANDBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200,000 rows in Postgres = 200,000 in Snowflake" in done.stdout
    assert "1,500 rows moved, 201,000 rows in Postgres = 201,000 in Snowflake" in done.stdout
    assert "✗" not in done.stdout
    assert processes_of(home) == []
    assert not (home / "endpoints.json").exists()


def test_sandbox_that_does_not_exist_is_said_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "run", "--once", "--sandbox", "mysql"],
        cwd=ROOT,
        env={**os.environ, "SANDBOX_HOME": str(tmp_path / "sandbox")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "No service 'mysql'. There are: bigquery, databricks, postgres" in done.stderr
