"""The same rows in each dialect: ten columns of the common types, all made from the row's number.

bigint, integer, numeric(12, 2), double, a short text, one of 40 characters, date, timestamp,
boolean, and a bigint of which every third is NULL.
"""

POSTGRES = """
SELECT i::bigint AS c_bigint, (i % 100000)::int AS c_int,
       ((i % 1000000) / 100.0)::numeric(12, 2) AS c_numeric, (i / 7.0)::float8 AS c_double,
       ('k' || i % 1000)::varchar(8) AS c_short,
       (md5(i::text) || 'fortieth')::varchar(40) AS c_text,
       date '2020-01-01' + (i % 3650) AS c_date,
       timestamp '2020-01-01' + i * interval '1 second' AS c_timestamp,
       i % 2 = 0 AS c_bool, CASE WHEN i % 3 > 0 THEN i::bigint * 7 END AS c_null
FROM generate_series(1, {rows}) AS i
"""

SNOWFLAKE = """
SELECT i::NUMBER(18, 0) AS C_BIGINT, MOD(i, 100000)::NUMBER(9, 0) AS C_INT,
       (MOD(i, 1000000) / 100)::NUMBER(12, 2) AS C_NUMERIC, i::DOUBLE / 7 AS C_DOUBLE,
       'k' || MOD(i, 1000) AS C_SHORT, MD5(i::VARCHAR) || 'fortieth' AS C_TEXT,
       DATEADD(day, MOD(i, 3650), '2020-01-01'::DATE) AS C_DATE,
       DATEADD(second, i, '2020-01-01'::TIMESTAMP_NTZ) AS C_TIMESTAMP,
       MOD(i, 2) = 0 AS C_BOOL, IFF(MOD(i, 3) > 0, i * 7, NULL)::NUMBER(18, 0) AS C_NULL
FROM (SELECT SEQ4() + 1 AS i FROM TABLE(GENERATOR(ROWCOUNT => {rows})))
"""

BIGQUERY = """
SELECT i AS c_bigint, MOD(i, 100000) AS c_int,
       CAST(MOD(i, 1000000) AS NUMERIC) / NUMERIC '100' AS c_numeric, i / 7 AS c_double,
       CONCAT('k', CAST(MOD(i, 1000) AS STRING)) AS c_short,
       CONCAT(TO_HEX(MD5(CAST(i AS STRING))), 'fortieth') AS c_text,
       DATE_ADD(DATE '2020-01-01', INTERVAL MOD(i, 3650) DAY) AS c_date,
       TIMESTAMP_ADD(TIMESTAMP '2020-01-01 00:00:00+00', INTERVAL i SECOND) AS c_timestamp,
       MOD(i, 2) = 0 AS c_bool, IF(MOD(i, 3) > 0, i * 7, NULL) AS c_null
FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS i
"""

DATABRICKS = """
SELECT id AS c_bigint, CAST(id % 100000 AS INT) AS c_int,
       CAST((id % 1000000) / 100 AS DECIMAL(12, 2)) AS c_numeric,
       CAST(id AS DOUBLE) / 7 AS c_double, CONCAT('k', id % 1000) AS c_short,
       CONCAT(MD5(CAST(id AS STRING)), 'fortieth') AS c_text,
       DATE_ADD(DATE '2020-01-01', CAST(id % 3650 AS INT)) AS c_date,
       TIMESTAMP '2020-01-01 00:00:00' + MAKE_DT_INTERVAL(0, 0, 0, id) AS c_timestamp,
       id % 2 = 0 AS c_bool, IF(id % 3 > 0, id * 7, NULL) AS c_null
FROM RANGE(1, {rows} + 1)
"""
