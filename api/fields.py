"""Fields of requests."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers


class ChoiceField(serializers.ChoiceField):
    """Says what there is to choose from; what was sent in its place is not repeated."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = choose_from(self.choices)


def choose_from(values: Iterable[object]) -> str:
    return f"Choose from: {', '.join(map(str, values))}."
