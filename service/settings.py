"""Django settings of the stand-alone service; every value comes from service/config.py."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from service import config, sandbox_defaults
from service.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
SANDBOX_HOME = Path(os.environ.get("SANDBOX_HOME", BASE_DIR / ".sandbox"))

_values = config.load(
    fallback={} if "DATABASE_URL" in os.environ or "DATABASE_URL_FILE" in os.environ
    else sandbox_defaults.read(SANDBOX_HOME)
)  # fmt: skip

SECRET_KEY = _values["SECRET_KEY"]
DEBUG = _values["DEBUG"]
ALLOWED_HOSTS = _values["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = _values["CSRF_TRUSTED_ORIGINS"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _values["SECURE_COOKIES"]
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

WAREHOUSE_KEYS = _values["WAREHOUSE_KEYS"]
WAREHOUSE_KMS_KEY_ID = _values["WAREHOUSE_KMS_KEY_ID"]
WAREHOUSE_KMS_ENDPOINT = _values["WAREHOUSE_KMS_ENDPOINT"]
WAREHOUSE_ALLOWED_PRIVATE_HOSTS = _values["WAREHOUSE_ALLOWED_PRIVATE_HOSTS"]
WAREHOUSE_OWN_IDENTITY = _values["WAREHOUSE_OWN_IDENTITY"]
WAREHOUSE_POOL_SIZE = _values["WAREHOUSE_POOL_SIZE"]
WAREHOUSE_POOL_IDLE_S = _values["WAREHOUSE_POOL_IDLE_S"]
WAREHOUSE_TEAM_MODEL = _values["WAREHOUSE_TEAM_MODEL"]
WAREHOUSE_ACCESS_POLICY = _values["WAREHOUSE_ACCESS_POLICY"]
METRICS_TOKEN = _values["METRICS_TOKEN"]
QUERY_TIMEOUT_S = _values["QUERY_TIMEOUT_S"]
QUERY_MAX_ROWS = _values["QUERY_MAX_ROWS"]
PIPELINE_LEASE_S = _values["PIPELINE_LEASE_S"]
PIPELINE_CHUNK_MB = _values["PIPELINE_CHUNK_MB"]
PIPELINE_LOG_LIMIT_MB = _values["PIPELINE_LOG_LIMIT_MB"]
CLICKHOUSE_URL = _values["CLICKHOUSE_URL"]
CLICKHOUSE_CLUSTER = _values["CLICKHOUSE_CLUSTER"]
STORE_PATH = _values["STORE_PATH"]
STORE_MEMORY_MB = _values["STORE_MEMORY_MB"]
WAREHOUSE_EVENTS_TABLE = _values["WAREHOUSE_EVENTS_TABLE"]
WAREHOUSE_PERSONS_TABLE = _values["WAREHOUSE_PERSONS_TABLE"]
WAREHOUSE_PERSON_IDS_TABLE = _values["WAREHOUSE_PERSON_IDS_TABLE"]
STORE_CACHE_MB = _values["STORE_CACHE_MB"]
STAGE_S3_BUCKET = _values["STAGE_S3_BUCKET"]
STAGE_S3_ENDPOINT = _values["STAGE_S3_ENDPOINT"]
STAGE_S3_REGION = _values["STAGE_S3_REGION"]
STAGE_S3_ACCESS_KEY = _values["STAGE_S3_ACCESS_KEY"]
STAGE_S3_SECRET_KEY = _values["STAGE_S3_SECRET_KEY"]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_filters",
    "knox",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "warehouse",
    "etl",
    "api",
    "service",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "service.addresses.AddressMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "service.urls"
WSGI_APPLICATION = "service.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_database = urlsplit(_values["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database.hostname or "",
        "PORT": _database.port or 5432,
        "NAME": unquote(_database.path.lstrip("/")),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        # A server that has vanished is noticed, whatever the operating system would wait for.
        "OPTIONS": {
            "connect_timeout": 5,
            "tcp_user_timeout": 30_000,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A process that stands still in a transaction keeps its locks from all others.
            "options": "-c idle_in_transaction_session_timeout=30s",
            **dict(parse_qsl(_database.query)),
        },
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
_mail = urlsplit(_values["EMAIL_URL"])
EMAIL_HOST = _mail.hostname or ""
EMAIL_PORT = _mail.port or {"smtps": 465, "smtp+tls": 587}.get(_mail.scheme, 25)
EMAIL_HOST_USER = unquote(_mail.username or "")
EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_USE_TLS = _mail.scheme == "smtp+tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _values["EMAIL_FROM"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"
WHITENOISE_USE_FINDERS = True
LOGGING = logging_config(_values["LOG_LEVEL"], _values["LOG_FORMAT"])

CELERY_BROKER_URL = _values["REDIS_URL"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis that says nothing must not hold up whoever has something for the queue.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 3, "socket_connect_timeout": 3}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.2}
CELERY_TIMEZONE = TIME_ZONE
DJANGO_CELERY_BEAT_TZ_AWARE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": None, "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "Warehouse integration",
    "DESCRIPTION": "Encrypted warehouse connections: test, explore, price, query and move data.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ConnectionModeEnum": "warehouse.models.connection.ConnectionMode",
        "ReadModeEnum": "etl.models.ReadMode",
        "RunStatusEnum": "etl.models.RunStatus",
        "AlertEventEnum": "etl.models.AlertEvent",
        "DeliveryStatusEnum": "etl.models.DeliveryStatus",
        "ChannelKindEnum": "etl.models.ChannelKind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.openapi.add_problems",
    ],
}
UNFOLD = {"SITE_TITLE": "Warehouse", "SITE_HEADER": "Warehouse"}
