"""The host's own app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.host.shop"
    label = "shop"
