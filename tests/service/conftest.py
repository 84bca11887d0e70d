"""What tests of the whole service share."""

from tests.api.conftest import _cheap_passwords, save, shop  # noqa: F401 fixtures
