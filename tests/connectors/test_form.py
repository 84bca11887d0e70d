"""The contract of a provider's form: JSON Schema that a page can draw, and examples that parse."""

from typing import Any

import jsonschema
import pytest

from connectors import Connector
from connectors.errors import InvalidCredentials
from connectors.registry import names, provider

pytestmark = pytest.mark.parametrize("kind", [provider(name) for name in names()], ids=names())


def form(kind: type[Connector]) -> dict[str, Any]:
    return kind.credentials_model.form()


def ways(kind: type[Connector]) -> list[dict[str, Any]]:
    """The fields of each way to sign in, as a page would send them.

    A field's value is its own example, or else the one in the form's example.
    """
    model, fields = kind.credentials_model, form(kind)["properties"]
    of_ways = {name for way in model.sign_ins for name in (*way.needs, *way.may_have)}
    shared = {name: value for name, value in model.example.items() if name not in of_ways}
    known = {name: value["examples"][0] for name, value in fields.items() if "examples" in value}
    known |= model.example
    return [shared | {name: known[name] for name in way.needs} for way in model.sign_ins]


def test_form_is_json_schema(kind: type[Connector]) -> None:
    schema = form(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


def test_every_field_has_a_title_and_says_what_it_is(kind: type[Connector]) -> None:
    fields = form(kind)["properties"]
    assert not [name for name, field in fields.items() if not field.get("title")]
    unsaid = [
        name
        for name, field in fields.items()
        if not (field.get("description") or field.get("examples") or "default" in field)
        # A word that everybody knows needs no more.
        and name not in ("user", "password", "database")
    ]
    assert unsaid == []


def test_secrets_are_write_only_and_nothing_else_is(kind: type[Connector]) -> None:
    schema, secret = form(kind), kind.credentials_model.secret_fields()
    assert secret
    assert {
        name for name, field in schema["properties"].items() if '"writeOnly"' in repr_of(field)
    } == secret
    assert not [name for name in secret if schema["properties"][name].get("default")]


def repr_of(field: dict[str, Any]) -> str:
    return repr(field).replace("'", '"')


def test_example_fits_the_schema_and_parses(kind: type[Connector]) -> None:
    model = kind.credentials_model
    schema = form(kind)
    assert schema["examples"] == [model.example]
    jsonschema.Draft202012Validator(schema).validate(model.example)
    parsed = model.parse(model.example)
    assert parsed.target()
    assert set(parsed.reveal()) >= set(model.example)


def test_every_way_to_sign_in_has_an_example_that_parses(kind: type[Connector]) -> None:
    model = kind.credentials_model
    assert model.sign_ins
    validator = jsonschema.Draft202012Validator(form(kind))
    for way, fields in zip(model.sign_ins, ways(kind), strict=True):
        assert way.title
        model.parse(fields)
        validator.validate(fields)


def test_ways_exclude_each_other_and_none_may_miss_a_part(kind: type[Connector]) -> None:
    model = kind.credentials_model
    examples = ways(kind)
    for way, fields in zip(model.sign_ins, examples, strict=True):
        for missing in way.needs:
            rest = {name: value for name, value in fields.items() if name != missing}
            if not any(set(other.needs) <= set(rest) for other in model.sign_ins):
                with pytest.raises(InvalidCredentials):
                    model.parse(rest)
    for other in examples[1:]:
        with pytest.raises(InvalidCredentials):
            model.parse(examples[0] | other)


def test_receiver_fields_are_fields(kind: type[Connector]) -> None:
    assert kind.credentials_model.receiver_fields <= set(form(kind)["properties"])


def test_grants_can_be_pasted(kind: type[Connector]) -> None:
    # A bucket's rights are a policy, which allows.
    assert "grant" in kind.grants.lower() or '"Allow"' in kind.grants
    assert kind.grants == kind.grants.strip("\n") or kind.grants.endswith("\n")
