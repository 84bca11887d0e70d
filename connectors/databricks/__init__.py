"""What the Databricks provider is made of."""
