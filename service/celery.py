"""The Celery application of the stand-alone service."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service.settings")


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Celery asks who sets logging up: Django's settings have, and its own would hide events."""


app = Celery("service")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
