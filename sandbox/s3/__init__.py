"""Configuration of the S3 stand-in: OpenStack Swift with its s3api."""
