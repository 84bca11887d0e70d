"""The settings this app reads from its host project, with their defaults."""

from django.conf import settings


def lease_s() -> float:
    return float(getattr(settings, "PIPELINE_LEASE_S", 15))


def chunk_bytes() -> int:
    return int(getattr(settings, "PIPELINE_CHUNK_MB", 256) * 2**20)


def log_limit_bytes() -> int:
    return int(getattr(settings, "PIPELINE_LOG_LIMIT_MB", 10_240) * 2**20)


def mail_is_set() -> bool:
    """There is a mail server, or whatever else the host project has in its place."""
    is_smtp = settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
    return not is_smtp or bool(settings.EMAIL_HOST)


def stage_bucket() -> str:
    return str(getattr(settings, "STAGE_S3_BUCKET", ""))


def stage_client_options() -> dict[str, str | None]:
    """Arguments of boto3.client; ``None`` leaves the choice to boto3's own chain."""
    return {
        "endpoint_url": getattr(settings, "STAGE_S3_ENDPOINT", "") or None,
        "region_name": getattr(settings, "STAGE_S3_REGION", "us-east-1"),
        "aws_access_key_id": getattr(settings, "STAGE_S3_ACCESS_KEY", "") or None,
        "aws_secret_access_key": getattr(settings, "STAGE_S3_SECRET_KEY", "") or None,
    }
