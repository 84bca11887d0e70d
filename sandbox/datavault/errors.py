"""What can go wrong, each as a sentence for the person at the keyboard, free of secrets."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import redis


class DataVaultError(Exception):
    """Base of all errors here; `str(error)` says what went wrong and what to do."""


class BadSetting(DataVaultError):
    """A setting or argument is missing or cannot be used."""


class BadRecord(DataVaultError):
    """A line of input is not a record."""


class RecordDamaged(DataVaultError):
    """The stored bytes are not what was sealed for this tenant and key with this encryption key."""


class StreamUnavailable(DataVaultError):
    """Redis does not answer, or not as it should."""


class DatabaseUnavailable(DataVaultError):
    """Postgres does not answer, or refuses us."""


class BackendStalled(DataVaultError):
    """Nobody takes records off the stream."""


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turn errors of the Redis and Postgres drivers into ours; their text may quote data."""
    try:
        yield
    except redis.RedisError as error:
        raise StreamUnavailable(
            f"Redis cannot be used ({type(error).__name__}). "
            "Is it running, and does DATAVAULT_REDIS_URL point at it?"
        ) from error
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"Postgres cannot be used ({type(error).__name__}). Is it running, and does "
            "DATAVAULT_DATABASE_URL name the right host, user, password and database?"
        ) from error


def exit_code(command: Callable[[], None]) -> int:
    """Run a command: 0 when it ends well, 1 and one sentence on stderr when it does not."""
    try:
        command()
    except DataVaultError as error:
        sys.stderr.write(f"datavault: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
