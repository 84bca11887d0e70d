"""The form of a bucket of one's own, and the least rights it needs."""

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr

from connectors.credentials import Credentials, SignIn

DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")

GRANTS = """
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
      "Resource": "arn:aws:s3:::<bucket>"
    },
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
      "Resource": "arn:aws:s3:::<bucket>/<prefix>/*"
    }
  ]
}
""".strip()


class S3Credentials(Credentials):
    """A bucket, and an AWS key or this machine's own identity to write it with."""

    bucket: str = Field(
        title="Bucket", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["my-lake"],
        description="It exists; none is ever made.",
    )  # fmt: skip
    prefix: str = Field(
        "", title="Prefix", max_length=500, pattern=r"^([\w.=-]+(/[\w.=-]+)*)?$",
        examples=["raw/postgres"], description="The folder that everything is put into.",
    )  # fmt: skip
    region: str = Field(
        "us-east-1", title="Region", pattern=r"^[a-z0-9-]{2,40}$",
        description="Where the bucket lies.",
    )  # fmt: skip
    endpoint: str | None = Field(
        None, title="Endpoint", max_length=500, examples=["https://s3.internal.example.com"],
        description="Another S3 than Amazon's, which the operator has to list.",
    )  # fmt: skip
    access_key_id: str | None = Field(
        None, title="Access key", pattern=r"^[\w:.-]{3,128}$", description="Its public half."
    )
    secret_access_key: SecretStr | None = Field(
        None, title="Secret key", min_length=1, description="The other half of the access key."
    )
    session_token: SecretStr | None = Field(
        None, title="Session token", min_length=1,
        description="Only for a temporary access key, which this connection then outlives.",
    )  # fmt: skip
    use_machine_identity: Literal[True] | None = Field(
        None, title="Use the identity of this machine", examples=[True],
        description="No key: the role that this machine runs as. Only for buckets that the "
        "operator has listed.",
    )  # fmt: skip

    receiver_fields: ClassVar = frozenset({"endpoint", "region"})
    sign_ins: ClassVar = (
        SignIn("Access key", ("access_key_id", "secret_access_key"), ("session_token",)),
        SignIn("Identity of this machine", ("use_machine_identity",)),
    )
    example: ClassVar[dict[str, Any]] = {
        "bucket": "my-lake",
        "prefix": "raw/postgres",
        "region": "eu-central-1",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "not-a-real-secret-key",
    }

    def url(self) -> str:
        """Where the bucket's S3 answers."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com{suffix}"

    def target(self) -> str:
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix)))
