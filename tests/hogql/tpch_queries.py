"""The 22 queries of TPC-H in HogQL, and beside them, in ``reference``, the standard's own text."""

from pathlib import Path

HERE = Path(__file__).parent / "tpch"
QUERIES = [path.stem for path in sorted(HERE.glob("q*.sql"))]
VALUES: dict[str, dict[str, object]] = {
    "q06": {"first": "1994-01-01", "most": 24},
    "q12": {"modes": ["MAIL", "SHIP"]},
}
