"""What the Snowflake provider is made of."""
