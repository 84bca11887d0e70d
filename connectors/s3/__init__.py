"""What the S3 provider is made of."""
