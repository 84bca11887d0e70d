"""A server that speaks Snowflake's own protocol to Snowflake's own client, on one machine.

fakesnow translates the SQL, duckdb runs it; sessions, sign-in, transactions, loading, errors and
results are made here as the real thing makes them. What is missing is refused with a SQL error
and listed in the sandbox's README.
"""
