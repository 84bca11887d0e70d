"""What would happen, said before it does."""

from typing import Any

from rest_framework import serializers


class ExplanationSerializer(serializers.Serializer[Any]):
    steps = serializers.ListField(child=serializers.CharField())
    faults = serializers.DictField(
        child=serializers.CharField(), help_text="What keeps it from being done, by field."
    )
