-- Deployments under way are records of the log, by which whoever begins a phase is held up. A program that knows nothing of
-- them would begin it all the same; since this version, it refuses this ledger. No new rights are needed.

-- UP

-- Records of a few kinds are looked for often: each phase that begins reads the leases, and each run its control.
CREATE INDEX events_by_kind ON shipctl.events (environment, kind, sequence);

-- DOWN

DROP INDEX shipctl.events_by_kind;
