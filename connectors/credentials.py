"""Credentials of a provider: a frozen form that knows which of its fields are secret."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from connectors.errors import InvalidCredentials

HOST = r"^([\w.-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$"
"""A name or an address; neither a URL nor a port with it."""
SHORTEST_MASKED = 4
MASK = "***"


class SignIn(NamedTuple):
    """One way to sign in: the fields that make it up, and those it may have besides."""

    title: str
    needs: tuple[str, ...]
    may_have: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.needs, *self.may_have)

    def fits(self, given: set[str]) -> bool:
        """These are all of its fields, and none of another way's."""
        return set(self.needs) <= given <= set(self.fields)


class Credentials(BaseModel):
    """Base of every provider's form. Unknown fields are refused; values never show in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    receiver_fields: ClassVar[frozenset[str]] = frozenset({"host", "port"})
    """Fields that decide who gets the secrets, or who may read them on the way; changing one
    means entering the secrets again."""

    sign_ins: ClassVar[tuple[SignIn, ...]] = ()
    """The ways to sign in, exactly one of which a form has; none where there is no choice."""

    example: ClassVar[dict[str, Any]] = {}
    """A form as it may look, with secrets that open nothing."""

    @classmethod
    def form(cls) -> dict[str, Any]:
        """The form as JSON Schema (2020-12): titles, help, ``writeOnly`` secrets, an example.

        What may be left out is left out, never null. ``oneOf`` has the ways to sign in, by title
        and the fields that each requires.
        """
        schema = cls.model_json_schema()
        schema["properties"] = {n: _without_null(f) for n, f in schema["properties"].items()}
        schema["examples"] = [cls.example]
        if cls.sign_ins:
            schema["oneOf"] = [
                {"title": way.title, "required": list(way.needs)} for way in cls.sign_ins
            ]
        return schema

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """The form filled with ``data``; raises InvalidCredentials naming each field at fault."""
        faults = cls._sign_in_faults(data)
        try:
            form = cls.model_validate(dict(data))
        except ValidationError as exc:
            raise InvalidCredentials(fields=faults | faults_by_field(exc)) from None
        if faults:
            raise InvalidCredentials(fields=faults)
        return form

    @classmethod
    def _sign_in_faults(cls, data: Mapping[str, Any]) -> dict[str, str]:
        """What the way to sign in that is most likely meant lacks, or has too much."""
        given = {n for way in cls.sign_ins for n in way.fields if data.get(n) is not None}
        if not cls.sign_ins or any(way.fits(given) for way in cls.sign_ins):
            return {}
        meant = max(cls.sign_ins, key=lambda way: len(given.intersection(way.fields)))
        at = (set(meant.needs) - given) or (given - set(meant.fields))
        ways = "; or ".join(" with ".join(way.needs) for way in cls.sign_ins)
        return dict.fromkeys(sorted(at), f"Give the secrets of one way to sign in: {ways}.")

    def reveal(self) -> dict[str, Any]:
        """The plain values, to be encrypted and stored. Never log or return this."""
        fields = type(self).model_fields.items()
        values = {form.alias or name: getattr(self, name) for name, form in fields}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    def secrets(self) -> Iterator[str]:
        """Every secret value, for masking."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                yield from secret_parts(value.get_secret_value())

    def mask(self, text: str) -> str:
        """``text`` with every secret of this form replaced; very short ones are left alone,
        because masking an empty or one-letter password would mangle the whole log."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            if len(secret) >= SHORTEST_MASKED:
                text = text.replace(secret, MASK)
        return text

    def target(self) -> str:
        """Where this form points, without user or secret: shown to people."""
        raise NotImplementedError(f"{type(self).__name__} does not say where it points")

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Names of the fields that hold secrets."""
        schema = cls.model_json_schema()
        return frozenset(name for name, form in schema["properties"].items() if _is_secret(form))


def _without_null(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field's schema with nothing of ``null`` in it."""
    kept = {name: part for name, part in field.items() if (name, part) != ("default", None)}
    kinds: list[dict[str, Any]] = kept.pop("anyOf", [{}])
    return {**kinds[0], **kept}


def secret_parts(secret: str) -> Iterator[str]:
    """A secret as it may turn up in a text: whole, and line by line when it is a key file."""
    yield secret
    if "\n" in secret or "\\n" in secret:
        yield from secret.replace("\\n", "\n").splitlines()


def faults_by_field(exc: ValidationError, whole: str = "credentials") -> dict[str, str]:
    """A sentence for each field at fault; ``whole`` names the form where no field does."""
    return {_field_name(error["loc"], whole): _sentence(error) for error in exc.errors()}


def _is_secret(form: Mapping[str, Any]) -> bool:
    return bool(form.get("writeOnly")) or any(_is_secret(part) for part in form.get("anyOf", ()))


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _field_name(location: tuple[int | str, ...], whole: str) -> str:
    return ".".join(str(part) for part in location) or whole


def _sentence(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "This field is required."
        case "extra_forbidden":
            return "This provider has no such field."
        case "string_pattern_mismatch":
            return "This is not written as it has to be: see the field's help and example."
        case "string_too_short" | "too_short":
            return "This must not be empty."
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return str(error["msg"]) + "."
