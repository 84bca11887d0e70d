"""What the Redshift provider is made of."""
