"""The Databricks stand-in: a bridge that makes a SQL warehouse of Spark's own Thrift Server.

The vendor's client speaks Thrift over HTTP, signs in with a token and reads Arrow; Spark's server
speaks Thrift over TCP, knows no token and sends columns. The bridge stands between the two.
"""
