"""Signing in to Redshift through AWS: a temporary database password for an AWS identity."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REGION = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-\d{1,2}")
# Redshift's own hosts end so, in China with .cn behind; the label before names the region.
VENDOR_HOST = re.compile(
    r"(?:[a-z0-9-]+\.)+(?P<region>[a-z0-9-]+)\.redshift(?P<serverless>-serverless)?"
    r"\.amazonaws\.com(?:\.cn)?"
)
AWS_API_HOST = re.compile(
    r"redshift(?:-serverless)?(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"
    r"|vpce-[a-z0-9-]+\.redshift(?:-serverless)?\.[a-z0-9-]+\.vpce\.amazonaws\.com(?:\.cn)?"
)
CONNECT_S = 5
ANSWER_S = 5
VALID_S = 900


@dataclass(frozen=True)
class AwsKey:
    """Whom AWS knows the caller as; nothing at all is this process's own identity."""

    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TemporaryUser:
    """A database user and password that AWS takes back after VALID_S."""

    name: str
    password: str = field(repr=False)


def api_url(region: str, *, serverless: bool) -> str:
    """AWS's own address of the call."""
    suffix = ".cn" if region.startswith("cn-") else ""
    service = "redshift-serverless" if serverless else "redshift"
    return f"https://{service}.{region}.amazonaws.com{suffix}"


def for_cluster(
    url: str, region: str, key: AwsKey, cluster: str, database: str, user: str
) -> TemporaryUser:
    """``redshift:GetClusterCredentials`` for an existing user; makes none."""
    answer = _call(
        "redshift",
        url,
        region,
        key,
        "get_cluster_credentials",
        {
            "ClusterIdentifier": cluster,
            "DbName": database,
            "DbUser": user,
            "AutoCreate": False,
            "DurationSeconds": VALID_S,
        },
    )
    return TemporaryUser(answer["DbUser"], answer["DbPassword"])


def for_workgroup(
    url: str, region: str, key: AwsKey, workgroup: str, database: str
) -> TemporaryUser:
    """``redshift-serverless:GetCredentials``; the user is the one that AWS derives from the key."""
    answer = _call(
        "redshift-serverless",
        url,
        region,
        key,
        "get_credentials",
        {"workgroupName": workgroup, "dbName": database, "durationSeconds": VALID_S},
    )
    return TemporaryUser(answer["dbUser"], answer["dbPassword"])


def _call(
    service: str, url: str, region: str, key: AwsKey, method: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    import boto3
    from botocore.config import Config

    # Its stubs type no service by a name that is not written out.
    session: Any = boto3.session.Session(
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=key.session_token,
        region_name=region,
    )
    config = Config(
        connect_timeout=CONNECT_S, read_timeout=ANSWER_S, retries={"total_max_attempts": 1}
    )
    client = session.client(service, endpoint_url=url, config=config)
    try:
        answer: dict[str, Any] = getattr(client, method)(**arguments)
    finally:
        client.close()
    return answer
