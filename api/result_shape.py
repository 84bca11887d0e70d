"""A query's answer as the API's description has it; ``results`` writes it."""

from typing import Any

from rest_framework import serializers


class ResultColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(help_text="The Arrow type.")


class ResultStatsSerializer(serializers.Serializer[Any]):
    vendor_query_id = serializers.CharField(allow_null=True)
    bytes_scanned = serializers.IntegerField(allow_null=True)
    bytes_billed = serializers.IntegerField(allow_null=True)
    amount_billed = serializers.CharField(allow_null=True, help_text="A decimal; null: unknown.")
    billed_in = serializers.CharField(help_text="Its currency, by ISO 4217.")


class ResultSourceSerializer(serializers.Serializer[Any]):
    run_id = serializers.CharField(help_text="The run that asked the warehouse.")
    vendor_query_id = serializers.CharField(allow_null=True)


class ResultSerializer(serializers.Serializer[Any]):
    run_id = serializers.CharField()
    columns = ResultColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.ListField())
    row_count = serializers.IntegerField()
    truncated = serializers.BooleanField(help_text="A limit cut the result.")
    stats = ResultStatsSerializer()
    cached = serializers.BooleanField(help_text="The warehouse was not asked again.")
    age_s = serializers.FloatField(help_text="Of a cached answer; otherwise 0.")
    as_of = serializers.DateTimeField(help_text="When the warehouse was asked.")
    source = ResultSourceSerializer()  # type: ignore[assignment]
    error = serializers.DictField(
        allow_null=True, help_text="A problem that came up after the first rows had been sent."
    )
