"""Rows that hold a secret: it lives here encrypted only, bound to its row."""

from typing import Any, ClassVar

from django.db import models

from warehouse import secrets


class Sealed(models.Model):
    """Rows whose field ``sealed_as`` has an envelope, or nothing.

    Key rotation finds the tables that hold such rows by this class.
    """

    sealed_as: ClassVar[str]

    class Meta:
        abstract = True

    @property
    def secret_context(self) -> str:
        """Associated data of the envelope: a ciphertext fits this team's this row only."""
        raise NotImplementedError


class SealedCredentials(Sealed):
    """Values that are written through ``set_credentials`` and never shown again."""

    sealed_as = "encrypted_credentials"
    encrypted_credentials = models.TextField(editable=False)

    class Meta:
        abstract = True

    def set_credentials(self, values: dict[str, Any]) -> None:
        """Encrypt and keep ``values``."""
        self.encrypted_credentials = secrets.encrypt(values, self.secret_context)

    def read_credentials(self) -> dict[str, Any]:
        """The plain values, for opening a session; raises CredentialsUnreadable."""
        return secrets.decrypt(self.encrypted_credentials, self.secret_context)
