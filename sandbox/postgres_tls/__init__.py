"""TLS and client certificates for the sandbox's Postgres, whose own server is built without.

A go-between that does what ``ssl = on`` and two lines of pg_hba.conf do: whoever shows a client
certificate signs in as the user it names (``cert``), and everyone else by password.
"""
