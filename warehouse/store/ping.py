"""Whether a ClickHouse answers, asked without its client."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection


def answers(host: str, port: int, *, secure: bool = False, timeout_s: float = 1.0) -> bool:
    """Whether it does, within about ``timeout_s``; nothing is signed in to."""
    kind = HTTPSConnection if secure else HTTPConnection
    connection = kind(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read(16) == b"Ok.\n"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
