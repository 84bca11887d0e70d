"""What tests of the whole service share."""

from tests.api.conftest import save, shop  # noqa: F401 fixtures
