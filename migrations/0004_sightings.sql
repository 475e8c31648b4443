-- What was seen running, by every look. Since this version, who looks with a role that does not own the schema also needs
--   GRANT SELECT, INSERT, UPDATE ON shipctl.version_sightings TO deploy;
--   GRANT SELECT, INSERT, DELETE ON shipctl.fleet_samples TO deploy;
-- A role that writes to the log and lacks them is told so, and its looks are doubtful, as nobody would know of them later. One that
-- only reads remembers nothing; it needs SELECT on both, or what was seen before is unknown to it, which opens no gate.

-- UP

-- The first and the last sighting of each version. The log tells the same of looks that belong to a plan; this table also
-- knows of those that do not, and of those that the log leaves out since they showed nothing new.
CREATE TABLE shipctl.version_sightings (
    environment text NOT NULL,
    service text NOT NULL,
    commit text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    -- The last sighting, with the instance and the source.
    sighting jsonb NOT NULL,
    PRIMARY KEY (environment, service, commit)
);

-- The looks of sources that have a drain window, for as long as they are of use to it.
CREATE TABLE shipctl.fleet_samples (
    environment text NOT NULL,
    service text NOT NULL,
    source text NOT NULL,
    at timestamptz NOT NULL,
    -- Whether the source saw everything and doubted nothing.
    complete boolean NOT NULL,
    sightings jsonb NOT NULL,
    PRIMARY KEY (environment, service, source, at)
);

-- DOWN

DROP TABLE shipctl.fleet_samples;
DROP TABLE shipctl.version_sightings;
