"""Snowflake's functions that sqlglot cannot spell in duckdb's words, as duckdb macros."""

SQL = """
CREATE TEMP MACRO _sf_div(a, b) AS
    CASE WHEN b = 0 THEN error('Division by zero') ELSE a / b END;
CREATE TEMP MACRO _sf_mod(a, b) AS
    CASE WHEN b = 0 THEN error('Division by zero') ELSE a % b END;
CREATE TEMP MACRO _sf_md5_lower64(a) AS CAST('0x' || substr(md5(a), 17) AS UBIGINT);
CREATE TEMP MACRO _sf_int(a) AS CAST(a AS BIGINT);
CREATE TEMP MACRO _sf_text(a) AS
    CASE typeof(a) WHEN 'JSON' THEN to_json(a) ->> '$' WHEN 'BLOB' THEN hex(TRY_CAST(a AS BLOB))
        ELSE CAST(a AS VARCHAR) END;
CREATE TEMP MACRO _sf_parse_json(a) AS CAST(nullif(trim(_sf_text(a)), '') AS JSON);
CREATE TEMP MACRO _sf_try_parse_json(a) AS TRY_CAST(nullif(trim(_sf_text(a)), '') AS JSON);
CREATE TEMP MACRO _sf_typeof(a) AS
    CASE json_type(to_json(a))
        WHEN 'VARCHAR' THEN 'VARCHAR' WHEN 'BOOLEAN' THEN 'BOOLEAN' WHEN 'DOUBLE' THEN 'DOUBLE'
        WHEN 'NULL' THEN 'NULL_VALUE' WHEN 'OBJECT' THEN 'OBJECT' WHEN 'ARRAY' THEN 'ARRAY'
        WHEN 'UBIGINT' THEN 'INTEGER' WHEN 'BIGINT' THEN 'INTEGER' END
"""
