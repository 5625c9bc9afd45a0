-- The roles of a PostgreSQL behind gla: run once by the owner of the database, after `gla ledger verify` has made the
-- tables, and again after an update of the program:
--
--     psql -v ON_ERROR_STOP=1 -f infra/postgres-roles.sql DATABASE
--
-- gla_writer is who the pipeline logs in as (GRANT gla_writer TO ...). It can add events and neither change nor remove
-- one, and owns no table, so it cannot take the triggers away. gla_retention, for `gla retention run`, can empty the
-- columns of an event that may go by rule, which the triggers allow only behind an event that tells so. gla_auditor reads.

DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['gla_writer', 'gla_retention', 'gla_auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN EXECUTE format('CREATE ROLE %I NOLOGIN', role); END IF;
  END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, gla_writer, gla_retention, gla_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO gla_auditor, gla_writer;
GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO gla_writer;
REVOKE UPDATE ON events FROM gla_writer;
REVOKE INSERT, UPDATE ON alembic_version FROM gla_writer;
GRANT gla_writer TO gla_retention;
GRANT UPDATE (object, origin, actor, detail, nonce, removed_by) ON events TO gla_retention;
