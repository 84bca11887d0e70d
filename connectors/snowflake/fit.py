"""Which values Snowflake cannot hold exactly, though Parquet can.

Source: Snowflake documentation, String & binary data types, and PARSE_JSON: a number of JSON with
an exponent, or with more digits than NUMBER has, becomes a double; a key may not come twice.
"""

from connectors.room import Room
from connectors.snowflake.sql import JSON_BYTES, MAX_BYTES

ROOM = Room(MAX_BYTES, JSON_BYTES)
