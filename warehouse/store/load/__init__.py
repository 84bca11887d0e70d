"""A team's database as the destination of pipelines: tables, and how rows get in."""
