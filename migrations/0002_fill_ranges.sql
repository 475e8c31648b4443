-- Fills share their work in ranges: whoever has time claims one, also from another machine. Since this version, who runs
-- plans with a role that does not own the schema also needs:
--   GRANT SELECT, INSERT, UPDATE, DELETE ON shipctl.fill_ranges TO deploy;

-- UP

-- What is left of a fill that is under way. The lock on a row is the claim: it lasts for one batch, whose transaction
-- also writes down how far the range has come. A worker that dies lets go of it by itself, and loses nothing.
CREATE TABLE shipctl.fill_ranges (
    environment text NOT NULL,
    plan text NOT NULL,
    phase text NOT NULL,
    activity text NOT NULL,
    effort text NOT NULL,
    -- The run at work: the server process that holds its lock, and since when. Who joins it takes no other ranges.
    run_process integer NOT NULL,
    run_since timestamptz,
    number integer NOT NULL,
    -- The table or partition, quoted for SQL.
    relation text NOT NULL,
    -- The first block, and the one behind the last; none means to the table's end, wherever that is by then.
    first_block bigint NOT NULL DEFAULT 0,
    end_block bigint,
    -- How often the range was gone through, and the block at which it goes on.
    round smallint NOT NULL DEFAULT 0,
    next_block bigint NOT NULL DEFAULT 0,
    -- Where the range is walked by its key instead: the last one that was dealt with.
    last_key text[],
    begun boolean NOT NULL DEFAULT false,
    done boolean NOT NULL DEFAULT false,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_changed bigint NOT NULL DEFAULT 0,
    -- Rows whose new version did not fit into their block.
    rows_moved bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, plan, phase, activity, number)
);

-- Ranges that nobody began come first, so that workers keep out of each other's way.
CREATE INDEX fill_ranges_left ON shipctl.fill_ranges (environment, plan, phase, activity, begun, number) WHERE NOT done;

-- DOWN

DROP TABLE shipctl.fill_ranges;
