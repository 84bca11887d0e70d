"""A project of somebody else that takes the apps in.

What a host must have:

- ``rest_framework``, ``drf_spectacular``, ``django_filters``, ``django_celery_beat``,
  ``warehouse``, ``etl`` and ``api`` in INSTALLED_APPS (``unfold`` before ``django.contrib.admin``
  where the admin is wanted), and ``include("api.urls")`` somewhere in its routes;
- ``WAREHOUSE_KEYS`` (or ``WAREHOUSE_KMS_KEY_ID``): there is no start without a key ring;
- ``DEFAULT_AUTHENTICATION_CLASSES`` of its own, and drf-spectacular's ``DEFAULT_SCHEMA_CLASS``.

What it may have: ``WAREHOUSE_TEAM_MODEL`` before its first migration, ``WAREHOUSE_ACCESS_POLICY``,
``WAREHOUSE_ALLOWED_PRIVATE_HOSTS``, ``QUERY_TIMEOUT_S``, ``QUERY_MAX_ROWS``; and for pipelines a
Celery application with a broker, and the ``STAGE_S3_…`` settings.
"""

import os

SECRET_KEY = "the-hosts-own-secret-key-of-enough-length"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.host.urls"
WSGI_APPLICATION = "tests.host.wsgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],  # libpq reads the rest of its variables itself
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "tests.host.shop",
    "rest_framework",
    "drf_spectacular",
    "django_filters",
    "django_celery_beat",
    "warehouse",
    "etl",
    "api",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
WAREHOUSE_KEYS = os.environ["WAREHOUSE_KEYS"]
WAREHOUSE_TEAM_MODEL = "shop.Company"
WAREHOUSE_ACCESS_POLICY = "tests.host.shop.access.CompanyPolicy"
WAREHOUSE_ALLOWED_PRIVATE_HOSTS = os.environ.get("PRIVATE_HOSTS", "").split()
