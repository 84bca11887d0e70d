"""The Django app that speaks HTTP."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
