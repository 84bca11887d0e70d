"""config.xml and users.xml of the embedded engine.

Users are fixed at start. ``warehouse`` owns everything; a reader may SELECT from the databases of
its seat and nothing else. ``default``, as whom chdb starts itself, can have no password; so it
cannot come in over HTTP at all: a request that names none of the others finds no handler.
"""

import base64
import hashlib
from xml.sax.saxutils import escape

from warehouse.store.engine.home import LOOPBACK, OWNER, Endpoint, Home, reader_password
from warehouse.store.limits import READER, READER_MOST, WAITS, of_memory
from warehouse.store.names import SEATS, seat_databases, seat_reader

MAX_QUERIES = 64
"""At a time; one more is told to come again."""

DROPPED_S = 10
"""So long the files of a dropped table stay, for whoever might want it back; of tables that are
replaced again and again they would be many."""

_MB = 2**20

# Beginnings of "user:password" as Basic authentication has them.
_SIGNED_IN = "|".join(
    base64.b64encode(user.encode()).decode() for user in (OWNER, seat_reader(0)[:6])
)
_QUERIES = (
    "<handler><type>dynamic_query_handler</type>"
    "<query_param_name>query</query_param_name></handler>"
)


def config(home: Home, endpoint: Endpoint, memory_mb: int) -> str:
    """What is true of the whole engine."""
    # An insert is acknowledged when its rows are on disk, and a merge keeps to that.
    durable = "".join(
        f"<{name}>1</{name}>"
        for name in (
            "fsync_after_insert",
            "fsync_part_directory",
            "min_rows_to_fsync_after_merge",
        )
    )
    return f"""<clickhouse>
  <http_port>{endpoint.port}</http_port>
  <listen_host>{LOOPBACK}</listen_host>
  <users_config>{escape(str(home.run / "users.xml"))}</users_config>
  <logger><level>warning</level><console>1</console></logger>
  <max_server_memory_usage>{memory_mb * _MB}</max_server_memory_usage>
  <max_concurrent_queries>{MAX_QUERIES}</max_concurrent_queries>
  <keep_alive_timeout>60</keep_alive_timeout>
  <database_atomic_delay_before_drop_table_sec>{DROPPED_S}</database_atomic_delay_before_drop_table_sec>
  <http_handlers>
    <rule><url>/ping</url>
      <handler><type>static</type><response_content>Ok.\n</response_content></handler></rule>
    <rule><headers><Authorization>regex:Basic ({_SIGNED_IN}).*</Authorization></headers>
      {_QUERIES}</rule>
    <rule><headers><X-ClickHouse-User>regex:({OWNER}|reader_.*)</X-ClickHouse-User></headers>
      {_QUERIES}</rule>
  </http_handlers>
  <merge_tree>{durable}</merge_tree>
  <access_control_improvements>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  </access_control_improvements>
</clickhouse>
"""


def users(endpoint: Endpoint, memory_mb: int) -> str:
    """Who may come in, and how far."""
    readers = "".join(_reader(endpoint, seat) for seat in range(SEATS))
    reader = {**WAITS, **READER, **of_memory(memory_mb)}
    most = {**READER_MOST, "max_memory_usage": int(reader["max_memory_usage"])}
    constraints = "".join(_between(name, bound) for name, bound in most.items())
    return f"""<clickhouse>
  <profiles>
    <default>{_settings(WAITS)}</default>
    <reader>{_settings(reader)}
      <constraints><readonly><const/></readonly>{constraints}</constraints>
    </reader>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default><no_password/>{_LOCAL}<profile>default</profile><quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <{OWNER}>{_password(endpoint.token)}{_LOCAL}<profile>default</profile>
      <quota>default</quota></{OWNER}>
    {readers}
  </users>
</clickhouse>
"""


_LOCAL = f"<networks><ip>{LOOPBACK}</ip></networks>"


def _reader(endpoint: Endpoint, seat: int) -> str:
    name = seat_reader(seat)
    password = _password(reader_password(endpoint.token, name))
    return (
        f"<{name}>{password}{_LOCAL}<profile>reader</profile>"
        f"<quota>default</quota><grants><query>GRANT SELECT ON {seat_databases(seat)}.*</query>"
        f"</grants></{name}>\n"
    )


def _between(name: str, most: int) -> str:
    # Of a limit, 0 would be none at all.
    return f"<{name}><min>{min(1, most)}</min><max>{most}</max></{name}>"


def _password(plain: str) -> str:
    hashed = hashlib.sha256(plain.encode()).hexdigest()
    return f"<password_sha256_hex>{hashed}</password_sha256_hex>"


def _settings(values: dict[str, int | str]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
