"""DataVault: the sample application whose data the sandbox moves.

It keeps secrets for many tenants. A record is encrypted before it leaves the process that made it::

    ingest.py ──► Redis Stream ──► backend/writer.py ──► Postgres, table `records`
    (encrypts)    (bounded)        (batches)                │
                                                            ▼
                  a caller with the token ◄── gRPC Retrieve (decrypts)

- `records.py`   what a record is, and how sample records are made from a seed
- `cipher.py`    AES-256-GCM, bound to the tenant and key of the record
- `stream.py`    the Redis Stream: append with back-pressure, read in order, dead letters
- `ingest.py`    the producer: `python -m sandbox.datavault.ingest --records 200000 --seed 1`
- `backend/`     the consumer and the gRPC service: `python -m sandbox.datavault.backend.main`
- `proto/`       the messages on the stream and the gRPC service
- `settings.py`  the environment variables; `errors.py`: what can go wrong, in sentences

Delivery is at least once and storing is idempotent, so a kill at any point and a restart leave
every record in Postgres exactly once, with its newest content.
"""
