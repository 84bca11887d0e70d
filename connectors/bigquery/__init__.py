"""What the BigQuery provider is made of."""
