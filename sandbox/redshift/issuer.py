"""AWS's side: moto, made to check keys and to hand out credentials that the face knows.

moto answers ``redshift:GetClusterCredentials`` and, told to, verifies signatures and policies.
It has no Redshift Serverless, so that one call is answered here, verified by the same code.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from moto import settings as moto_settings
from moto.core.exceptions import (
    AccessDeniedError,
    InvalidClientTokenIdError,
    SignatureDoesNotMatchError,
)
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import IAMRequest
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.redshift import urls
from moto.redshift.models import RedshiftBackend, redshift_backends
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from sandbox.redshift import temporary
from sandbox.redshift.settings import LOOPBACK, Aws, Settings

PARTITION = "aws"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["redshift:GetClusterCredentials", "redshift-serverless:GetCredentials"],
            "Resource": "*",
        }
    ],
}
SERVERLESS_TARGET = "RedshiftServerless."
SERVERLESS_TYPE = "application/x-amz-json-1.1"


def serve(settings: Settings) -> None:
    """Serve until killed."""
    _make_identity(settings.aws)
    _make_cluster(settings)
    moto = DomainDispatcherApplication(create_backend_app)
    serverless = Serverless(settings)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        ours = target.startswith(SERVERLESS_TARGET)
        return (serverless if ours else moto)(environ, start_response)

    server = make_server(
        LOOPBACK,
        settings.aws.port,
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    # From here on a key that nobody has, or a wrong signature, is refused.
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    server.serve_forever()


def _make_identity(aws: Aws) -> None:
    iam = iam_backends[DEFAULT_ACCOUNT_ID][PARTITION]
    iam.create_user(aws.region, aws.db_user)
    iam.put_user_policy(aws.db_user, "redshift", json.dumps(POLICY))
    key = iam.create_access_key(aws.db_user)
    key.access_key_id, key.secret_access_key = aws.access_key_id, aws.secret_access_key


def _make_cluster(settings: Settings) -> None:
    aws, signing_key = settings.aws, settings.signing_key

    class Issuing(RedshiftBackend):
        """moto's, but for the password, which it makes up and nobody would know."""

        def get_cluster_credentials(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            found = super().get_cluster_credentials(*args, **kwargs)
            user = temporary.temporary_user(found["DbUser"]) or ""
            password = temporary.password_for(user, found["Expiration"], signing_key)
            return found | {"DbPassword": password}

        @property
        def _url_module(self) -> Any:
            # moto looks for it beside the class.
            return urls

    redshift_backends.backend = Issuing
    redshift_backends[DEFAULT_ACCOUNT_ID][aws.region].create_cluster(
        cluster_identifier=aws.cluster_identifier,
        node_type="ra3.large",
        master_username="awsuser",
        # moto wants one; nobody signs in with it.
        master_user_password=secrets.token_urlsafe(),
        db_name=settings.database,
        cluster_type="single-node",
        cluster_security_groups=[],
        vpc_security_group_ids=[],
        cluster_subnet_group_name=None,
        availability_zone=f"{aws.region}a",
        preferred_maintenance_window="Mon:03:00-Mon:03:30",
        cluster_parameter_group_name="default.redshift-1.0",
        automated_snapshot_retention_period="1",
        port=settings.port,
        cluster_version="1.0",
        allow_version_upgrade="true",
        number_of_nodes="1",
        publicly_accessible="false",
        encrypted="true",
        region_name=aws.region,
    )


class Serverless:
    """``redshift-serverless:GetCredentials`` of one workgroup, as a WSGI application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        body = request.get_data()
        action = request.headers["X-Amz-Target"].removeprefix(SERVERLESS_TARGET)
        try:
            _verify(request, body, action)
        except (AccessDeniedError, InvalidClientTokenIdError, SignatureDoesNotMatchError) as exc:
            return _answer(exc.code, {"__type": exc.error_type, "message": exc.message})
        except KeyError:
            return _answer(403, {"__type": "MissingAuthenticationToken", "message": "No key."})
        if action != "GetCredentials":
            return _answer(400, {"__type": "UnknownOperationException", "message": action})
        return self._issue(json.loads(body or b"{}"))

    def _issue(self, asked: dict[str, Any]) -> Response:
        if asked.get("workgroupName") != self._settings.aws.workgroup:
            message = f"The workgroup {asked.get('workgroupName')} does not exist."
            return _answer(400, {"__type": "ResourceNotFoundException", "message": message})
        expires = datetime.now(UTC) + timedelta(seconds=int(asked.get("durationSeconds", 900)))
        user = self._settings.aws.db_user
        return _answer(
            200,
            {
                "dbUser": f"IAM:{user}",
                "dbPassword": temporary.password_for(user, expires, self._settings.signing_key),
                "expiration": expires.timestamp(),
                "nextRefreshTime": expires.timestamp(),
            },
        )


def _verify(request: Request, body: bytes, action: str) -> None:
    """Raise moto's error for an unknown key, a wrong signature or a call not allowed."""
    verified = IAMRequest(
        account_id=DEFAULT_ACCOUNT_ID,
        method=request.method,
        path=request.full_path.rstrip("?"),
        data={},
        body=body,
        headers=dict(request.headers),
        action=action,
    )
    verified.check_signature()
    verified.check_action_permitted("*")


def _answer(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status=status, content_type=SERVERLESS_TYPE)
