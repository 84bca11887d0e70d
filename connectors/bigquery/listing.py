"""Which statements list the tables of a BigQuery project, and what is done where one is refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.bigquery import catalog
from connectors.bigquery import errors as bigquery_errors
from connectors.bigquery.catalog import Found, Row
from connectors.errors import PermissionDenied
from connectors.types import Table, TableFilter

# The client's own annotations are partial and refuse its documented retry=None.
Client = Any
Read = Callable[[str, Mapping[str, object], str], Iterable[Row]]
"""Runs a statement with its values in a location, and yields its rows."""

TIMEOUT_S = 60.0
DATASETS_A_PAGE = 1000


class Listing:
    """The datasets and tables of one project that an account may see."""

    def __init__(self, client: Client, location: str | None, read: Read) -> None:
        self._client = client
        self._project = str(client.project)
        self._location = location
        self._read = read

    def tables(self, wanted: TableFilter) -> list[Table]:
        """The tables asked for, in order; see ``BigQuery._tables`` for the statements it takes."""
        found: list[Table] = []
        for location, datasets in self._places(wanted).items():
            rows = self._found(location, sorted(datasets), wanted)
            found += catalog.tables(self._project, rows, self._keys(location, rows))
        return sorted(found, key=lambda table: (table.schema, table.name))[: wanted.limit]

    def may_list(self, dataset: str) -> bool:
        """The dataset's tables may be listed; by a call that is free."""
        name = f"{self._project}.{dataset}"
        return self._allowed(
            lambda: next(
                self._client.list_tables(name, max_results=1, retry=None, timeout=TIMEOUT_S).pages,
                None,
            )
        )

    def _places(self, wanted: TableFilter) -> dict[str, list[str]]:
        """The datasets asked for, by location; by calls that are free."""
        if wanted.schema is not None:
            return self._place_of(wanted.schema)
        first = wanted.after[0] if wanted.after else ""
        places: dict[str, list[str]] = {}
        for dataset in self._client.list_datasets(
            page_size=DATASETS_A_PAGE, retry=None, timeout=TIMEOUT_S
        ):
            # The client has no property for it.
            location = str(dataset._properties.get("location", "US"))
            if dataset.dataset_id >= first and self._reaches(location):
                places.setdefault(location, []).append(str(dataset.dataset_id))
        return places

    def _reaches(self, location: str) -> bool:
        """Queries of this connection can run there."""
        return self._location is None or self._location.lower() == location.lower()

    def _place_of(self, dataset: str) -> dict[str, list[str]]:
        from google.api_core.exceptions import NotFound

        if not catalog.DATASET.fullmatch(dataset):
            return {}
        name = f"{self._project}.{dataset}"
        try:
            found = self._client.get_dataset(name, retry=None, timeout=TIMEOUT_S)
        except NotFound:
            return {}
        return {str(found.location): [dataset]} if self._reaches(found.location) else {}

    def _found(self, location: str, datasets: Sequence[str], wanted: TableFilter) -> Found:
        if wanted.schema is None:
            statement = catalog.of_region(self._project, location, wanted)
            found: Found = {}
            if self._allowed(lambda: found.update(self._gathered(statement, location))):
                return found
        return self._found_in(location, datasets, wanted)

    def _found_in(self, location: str, datasets: Sequence[str], wanted: TableFilter) -> Found:
        """By datasets; without those whose tables may not be listed."""
        found: Found = {}
        for some in _parts(datasets):
            left = replace(wanted, limit=wanted.limit - len(found))
            if left.limit <= 0:
                break
            statement = catalog.of_datasets(self._project, some, left)
            if self._allowed(lambda: found.update(self._gathered(statement, location))):  # noqa: B023 called at once
                continue
            if some := [dataset for dataset in some if self.may_list(dataset)]:
                statement = catalog.of_datasets(self._project, some, left)
                found.update(self._gathered(statement, location))
        return found

    def _gathered(self, statement: catalog.Statement, location: str) -> Found:
        return catalog.gathered(self._read(*statement, location))

    def _keys(self, location: str, found: Found) -> dict[tuple[str, str], list[str]]:
        """Primary keys, where this account may ask for them."""
        keys: dict[tuple[str, str], list[str]] = {}

        def add(datasets: Sequence[str]) -> None:
            for row in self._read(catalog.keys(self._project, datasets), {}, location):
                name = row["table_schema"], row["table_name"]
                keys.setdefault(name, []).append(row["column_name"])

        for some in _parts(sorted({schema for schema, _ in found})):
            self._allowed(lambda: add(some))  # noqa: B023 called at once
        return keys

    def _allowed(self, call: Callable[[], object]) -> bool:
        """It was done; false where Google says that this account may not."""
        from google.api_core.exceptions import GoogleAPICallError

        try:
            call()
        except GoogleAPICallError as exc:
            if isinstance(bigquery_errors.error_for(exc), PermissionDenied):
                return False
            raise
        return True


def _parts(datasets: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(datasets), catalog.DATASETS_A_STATEMENT):
        yield datasets[start : start + catalog.DATASETS_A_STATEMENT]
