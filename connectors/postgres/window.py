"""The net of a stretch of a table's log: what became of each key, whatever happened in between."""

from collections.abc import Sequence

from connectors.errors import SchemaChanged
from connectors.postgres import pgoutput
from connectors.postgres.pgoutput import Begin, Delete, Relation, Row, Truncate, Unsent, Upsert

WINDOW_ROWS = 100_000
WINDOW_BYTES = 32 * 2**20

Key = tuple[str, ...]


class Window:
    """The net of some changes: for each key its row, or ``None`` for a row that has gone.

    ``incomplete`` has the keys whose rows the log did not tell whole, and the transaction.
    """

    def __init__(self, key: Sequence[str], names: Sequence[str]) -> None:
        self.is_emptied = False
        self.rows: dict[Key, Row | None] = {}
        self.incomplete: dict[Key, int] = {}
        self._key_names = tuple(key)
        self._names = tuple(names)
        self._transaction = 0
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self.rows) or self.is_emptied

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= WINDOW_ROWS or self._size >= WINDOW_BYTES

    def add(self, message: pgoutput.Message) -> None:
        """Raises SchemaChanged where the key is another one than it was then."""
        match message:
            case Begin():
                self._transaction = message.transaction
            case Truncate():
                self.is_emptied = True
                self.rows.clear()
                self.incomplete.clear()
                self._size = 0
            case Delete():
                self._set(self._key(message.relation, message.old), None)
            case Upsert():
                self._upsert(message)

    def complete(self, current: dict[Key, Row]) -> None:
        """Put in what the table has now; a row that has gone since will be told later."""
        for key in self.incomplete:
            if (row := current.get(key)) is not None:
                self.rows[key] = row
            else:
                del self.rows[key]
        self.incomplete.clear()

    def _upsert(self, change: Upsert) -> None:
        old = change.old_key or change.old
        new = change.new
        if change.old_key is not None:
            # A key that is stored out of line comes with the old one only, if it is the same.
            new = _filled(new, change.old_key)
        before = self._key(change.relation, old) if old else None
        key = self._key(change.relation, _filled(new, change.old))
        known = change.old or self.rows.get(before or key)
        if before is not None and before != key:
            self._set(before, None)
        row = _filled(change.new, known)
        whole = change.relation.columns == self._names and Unsent.VALUE not in row
        self._set(key, row, whole=whole)

    def _set(self, key: Key, row: Row | None, *, whole: bool = True) -> None:
        self.rows[key] = row
        self._size += sum(len(value) for value in row or key if isinstance(value, str))
        if whole:
            self.incomplete.pop(key, None)
        else:
            self.incomplete[key] = self._transaction

    def _key(self, relation: Relation, row: Row) -> Key:
        try:
            places = [relation.columns.index(name) for name in self._key_names]
        except ValueError:
            raise SchemaChanged("The primary key of the table is another one now.") from None
        return pgoutput.key_of(row, places)


def _filled(row: Row, known: Row | None) -> Row:
    """The row with what was not sent of it, where that is known."""
    if known is None or len(known) != len(row):
        return row
    return tuple(old if new is Unsent.VALUE else new for new, old in zip(row, known, strict=True))
