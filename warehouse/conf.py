"""The settings this app reads from its host project, with their defaults."""

from django.conf import settings

TEAM_MODEL: str = getattr(settings, "WAREHOUSE_TEAM_MODEL", "warehouse.Team")
"""Read once: it is part of the models, as AUTH_USER_MODEL is."""


def access_policy() -> str:
    return str(getattr(settings, "WAREHOUSE_ACCESS_POLICY", "warehouse.access.MembershipPolicy"))


def keys() -> str:
    return str(getattr(settings, "WAREHOUSE_KEYS", ""))


def kms_key_id() -> str:
    return str(getattr(settings, "WAREHOUSE_KMS_KEY_ID", ""))


def kms_endpoint() -> str | None:
    return getattr(settings, "WAREHOUSE_KMS_ENDPOINT", "") or None


def allowed_private_hosts() -> list[str]:
    return list(getattr(settings, "WAREHOUSE_ALLOWED_PRIVATE_HOSTS", ()))


def own_identity() -> list[str]:
    return list(getattr(settings, "WAREHOUSE_OWN_IDENTITY", ()))


def pool_size() -> int:
    return int(getattr(settings, "WAREHOUSE_POOL_SIZE", 8))


def pool_idle_s() -> float:
    return float(getattr(settings, "WAREHOUSE_POOL_IDLE_S", 60))


def query_timeout_s() -> int:
    return int(getattr(settings, "QUERY_TIMEOUT_S", 60))


def query_max_rows() -> int:
    return int(getattr(settings, "QUERY_MAX_ROWS", 10_000))


def store_path() -> str:
    return str(getattr(settings, "STORE_PATH", ""))


def store_memory_mb() -> int:
    return int(getattr(settings, "STORE_MEMORY_MB", 2048))


def store_cache_mb() -> int:
    return int(getattr(settings, "STORE_CACHE_MB", 1024))


def clickhouse_url() -> str:
    return str(getattr(settings, "CLICKHOUSE_URL", ""))


def clickhouse_cluster() -> str:
    return str(getattr(settings, "CLICKHOUSE_CLUSTER", ""))


def events_table() -> str:
    return str(getattr(settings, "WAREHOUSE_EVENTS_TABLE", ""))


def persons_table() -> str:
    return str(getattr(settings, "WAREHOUSE_PERSONS_TABLE", ""))


def person_ids_table() -> str:
    return str(getattr(settings, "WAREHOUSE_PERSON_IDS_TABLE", ""))
