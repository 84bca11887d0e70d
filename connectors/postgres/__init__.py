"""What the Postgres provider is made of."""
