"""A Redshift stand-in: a face over the sandbox's Postgres, and AWS's sign-in beside it.

The face (`face.py`) speaks what a cluster's clients expect: TLS, Redshift's startup keys and
reports, temporary credentials, cancel requests. Everything after sign-in is Postgres' own answer.
The issuer (`issuer.py`) is moto, which hands those temporary credentials out.
"""
