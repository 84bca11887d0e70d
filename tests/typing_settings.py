"""The service's settings for static checks, which need them complete but connect to nothing."""

import os

os.environ.setdefault("DATABASE_URL", "postgresql://nobody@localhost/none")
os.environ.setdefault("REDIS_URL", "redis://localhost/0")
os.environ.setdefault("SECRET_KEY", "x" * 32)
os.environ.setdefault("WAREHOUSE_KEYS", "k1:" + "A" * 43 + "=")

from service.settings import *  # noqa: F403
