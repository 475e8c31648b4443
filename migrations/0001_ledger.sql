-- The ledger: what shipctl knows about this database. The schema `shipctl` exists before this runs; shipctl makes it
-- unless somebody did already, with: CREATE SCHEMA shipctl AUTHORIZATION deploy;
--
-- Who needs what, if shipctl's role does not own the schema, and for the applications:
--   running plans       GRANT USAGE ON SCHEMA shipctl TO deploy;
--                       GRANT SELECT, INSERT ON shipctl.events TO deploy;
--                       GRANT SELECT, INSERT, UPDATE, DELETE ON shipctl.checkpoints, shipctl.migrations,
--                             shipctl.migration_digests TO deploy;
--                       GRANT SELECT ON shipctl.ledger_versions, shipctl.heartbeats TO deploy;
--   looking             GRANT USAGE ON SCHEMA shipctl TO reader;
--                       GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO reader;
--   reporting versions  GRANT USAGE ON SCHEMA shipctl TO app;
--                       GRANT SELECT, INSERT, UPDATE ON shipctl.heartbeats TO app;

-- UP

-- The versions of the ledger itself, one row for each file like this one.
CREATE TABLE shipctl.ledger_versions (
    id varchar PRIMARY KEY,
    name varchar NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The log. Rows are only ever added; the state of every plan is folded from them.
CREATE TABLE shipctl.events (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    environment text NOT NULL,
    plan text,
    phase text,
    kind text NOT NULL,
    actor text NOT NULL,
    payload jsonb NOT NULL
);

CREATE INDEX events_by_plan ON shipctl.events (environment, plan, sequence);

CREATE FUNCTION shipctl.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'shipctl.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'What happened stays on record; shipctl log shows it.';
END
$$;

CREATE TRIGGER append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON shipctl.events
    FOR EACH STATEMENT EXECUTE FUNCTION shipctl.refuse_change();

-- Also where a session pretends to be a replica.
ALTER TABLE shipctl.events ENABLE ALWAYS TRIGGER append_only;

-- How far long work has come. A row is written in the transaction of the work it counts.
CREATE TABLE shipctl.checkpoints (
    environment text NOT NULL,
    plan text NOT NULL,
    phase text NOT NULL,
    activity text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    cursor jsonb,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_changed bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (environment, plan, phase, activity)
);

-- The plain migration runner's table, in the shape that many tools know.
CREATE TABLE shipctl.migrations (
    id varchar PRIMARY KEY,
    name varchar NOT NULL,
    applied_at timestamp DEFAULT now()
);

-- What those migrations said when they ran, so that a later edit is noticed and a lost file can still be undone.
CREATE TABLE shipctl.migration_digests (
    id varchar PRIMARY KEY,
    name varchar NOT NULL,
    digest text NOT NULL,
    up_text text NOT NULL,
    down_text text,
    actor text,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- Running application instances report themselves here:
--   INSERT INTO shipctl.heartbeats (service, instance, commit) VALUES ('web', 'web-1', '<40 hex digits>')
--   ON CONFLICT (service, instance) DO UPDATE SET commit = EXCLUDED.commit, observed_at = now();
CREATE TABLE shipctl.heartbeats (
    service text NOT NULL,
    instance text NOT NULL,
    commit text NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, instance)
);

-- DOWN

DROP TABLE shipctl.heartbeats;
DROP TABLE shipctl.migration_digests;
DROP TABLE shipctl.migrations;
DROP TABLE shipctl.checkpoints;
DROP TABLE shipctl.events;
DROP FUNCTION shipctl.refuse_change();
DROP TABLE shipctl.ledger_versions;
