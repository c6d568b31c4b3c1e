#pragma once

// What the examination of a server asks it.

namespace penstock::db::postgres {

inline constexpr const char* settings_query =
    "SELECT name::text, setting::text FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'fsync', "
    "'synchronous_commit', 'full_page_writes', 'default_transaction_read_only', 'synchronous_standby_names', "
    "'max_connections', 'statement_timeout', 'transaction_timeout') UNION ALL SELECT 'source of ' || name, source FROM "
    "pg_settings "
    "WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'default_transaction_read_only', "
    "'statement_timeout', 'transaction_timeout')";

// Superusers have no limits.
inline constexpr const char* facts_query =
    "SELECT 'in_recovery', pg_is_in_recovery()::text "
    "UNION ALL SELECT 'account', quote_ident(session_user) "
    "UNION ALL SELECT 'database', quote_ident(current_database()) "
    "UNION ALL SELECT 'account_limit', rolconnlimit::text FROM pg_roles WHERE rolname = session_user AND NOT rolsuper "
    "UNION ALL SELECT 'database_limit', datconnlimit::text FROM pg_database, pg_roles "
    "WHERE datname = current_database() AND rolname = session_user AND NOT rolsuper "
    "UNION ALL SELECT 'synchronous_standbys', count(*)::text FROM pg_stat_replication WHERE sync_state IS DISTINCT "
    "FROM 'async'";

// Nothing for a table that is missing. A right to some columns may be all that is needed.
inline constexpr const char* lacking_rights_query =
    "SELECT r FROM unnest(string_to_array(?, ',')) AS r WHERE NOT CASE WHEN r = 'DELETE' "
    "THEN has_table_privilege(to_regclass(?), r) ELSE has_any_column_privilege(to_regclass(?), r) END";

// Of the sequences that give a table's ids. A CASE, since conditions may be looked at in any order.
inline constexpr const char* lacking_sequences_query =
    "SELECT s.oid::regclass::text FROM pg_class AS s JOIN pg_depend AS d ON d.objid = s.oid "
    "AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('i', 'a') "
    "WHERE d.refobjid = to_regclass(?) "
    "AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END";

// Of the columns that a sequence gives the ids of, where others may be given values.
inline constexpr const char* lacking_id_columns_query =
    "SELECT quote_ident(a.attname) FROM pg_class AS s JOIN pg_depend AS d ON d.objid = s.oid "
    "AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('i', 'a') "
    "JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
    "WHERE d.refobjid = to_regclass(?) AND s.relkind = 'S' AND has_any_column_privilege(d.refobjid, 'INSERT') "
    "AND NOT has_column_privilege(d.refobjid, a.attnum, 'INSERT')";

// The schema that a table is missing in and may not be made in, null for no schema; there may be none of that name.
inline constexpr const char* closed_schema_query =
    "SELECT s FROM (SELECT COALESCE(?, quote_ident(current_schema())) AS s) AS named "
    "WHERE to_regclass(?) IS NULL AND NOT COALESCE(has_schema_privilege(to_regnamespace(s), 'CREATE'), false)";

// Whether it is missing and would be made for the session alone.
inline constexpr const char* temporary_query =
    "SELECT to_regclass(?) IS NULL AND ?::text IS NULL AND "
    "COALESCE(to_regnamespace(quote_ident(current_schema())) = pg_my_temp_schema(), false)";

// Of the sequence that gives the ids and may be read: the step, the highest id that it may give and the column holds,
// and whether ids that are there are found by an index. A CASE, as above.
inline constexpr const char* ids_query =
    "SELECT s.oid::regclass::text, q.seqincrement, LEAST(q.seqmax, CASE a.atttypid WHEN 'smallint'::regtype "
    "THEN 32767 WHEN 'integer'::regtype THEN 2147483647 ELSE q.seqmax END), "
    "has_column_privilege(a.attrelid, a.attnum, 'SELECT') AND EXISTS (SELECT FROM pg_index AS i "
    "WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL) "
    "FROM pg_class AS s JOIN pg_sequence AS q ON q.seqrelid = s.oid JOIN pg_depend AS d ON d.objid = s.oid "
    "AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('i', 'a') "
    "JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
    "WHERE d.refobjid = to_regclass(?) AND a.attname = ? AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, "
    "'bigint'::regtype) AND q.seqincrement > 0 AND NOT q.seqcycle AND CASE WHEN s.relkind = 'S' THEN "
    "has_sequence_privilege(s.oid, 'SELECT') "
    "END";

}  // namespace penstock::db::postgres
