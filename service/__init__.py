"""The stand-alone Django project."""

from service.celery import app as celery_app

__all__ = ["celery_app"]
