//! All facts for a decision, gathered at one moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::fleet::{Probing, probe};
use super::remembered::{
    Newer, Stored, asked_since, code_phases, doubt_what_was_found_otherwise, has_effect, in_force,
    is_under_way, read_stored, stand_in,
};
use super::repositories::Repositories;
use crate::domain::{Exit, PhaseId, PlanId, Problem};
use crate::ledger::{Record, StoredRecord, fold, history, leases_since};
use crate::plan::{CodePhase, Plan};
use crate::postgres::{Session, describe_error, ledger};
use crate::project::{Environment, Project, SourceKind};
use crate::safety::{
    Completeness, Containments, Doubt, Facts, Fleet, History, PlanShape, PlanState, ServiceRequirement,
    Sighting, SourceReport, Verdict, Version, combine, satisfaction,
};

/// A look that shows what the last one showed is written down again only after this time.
const REPEAT_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How far back heartbeats tell of versions that ran.
const REMEMBERED_HEARTBEATS: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Knows how to look: the project, the environment, the plans, and the repositories behind them.
pub struct Observer<'a> {
    /// The project.
    pub project: &'a Project,
    /// The environment.
    pub environment: &'a Environment,
    /// Every plan that counts.
    pub plans: &'a [Plan],
}

/// What was found, with what the facts were made of.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The facts for the rules.
    pub facts: Facts,
    /// What each source said.
    pub reports: Vec<SourceReport>,
    /// The environment's records, of every plan, in order.
    pub records: Vec<StoredRecord>,
    /// Plans that have begun here but whose files are not in this checkout, read back from the ledger. They bind
    /// deployments like any other.
    pub departed: Vec<Plan>,
    /// Plans whose file in this checkout is an older text than the one that took its place, read back from the ledger.
    /// They are judged by instead of the files.
    pub newer: Vec<Newer>,
    /// Plans that are in effect here and can be read neither from a file nor from the ledger, or whose file in this
    /// checkout is out of date while the ledger's copy cannot be used: nothing can be said about what they forbid.
    pub unreadable: Vec<(PlanId, Doubt)>,
}

impl Situation {
    /// The state of one plan; a plan that the ledger does not know has not begun.
    pub fn state(&self, plan: &PlanId) -> PlanState {
        self.facts.plans.get(plan).cloned().unwrap_or_default()
    }

    /// The plans given, each as it is in force here, and the departed ones: all that bind a deployment.
    pub fn in_force<'p>(&'p self, plans: &'p [Plan]) -> impl Iterator<Item = &'p Plan> {
        in_force(plans, &self.newer, &self.departed)
    }

    /// A plan as it is in force here: the one given, unless the ledger has a newer text of it.
    pub fn current<'p>(&'p self, plan: &'p Plan) -> &'p Plan {
        stand_in(plan, &self.newer)
    }

    /// The shapes of all plans that bind a deployment.
    pub fn shapes(&self, plans: &[Plan]) -> Vec<PlanShape> {
        self.in_force(plans).map(|plan| plan.shape().clone()).collect()
    }
}

/// What runs, without what the ledger knows: all that can be learnt while the database is out of reach.
#[derive(Clone, Debug)]
pub struct Census {
    /// The combined fleet.
    pub fleet: Fleet,
    /// What each source said.
    pub reports: Vec<SourceReport>,
    /// The moment of the look: by the database's clock, or by this machine's where the database is out of reach.
    pub now: Timestamp,
}

impl Observer<'_> {
    /// Looks at the fleet alone. Sources that need the database are in doubt where it is `None`.
    ///
    /// `local` is this machine's clock. It may be wrong, and the ledger is dated by the database's: so that one clock
    /// decides what came before what, all that is found is dated by the database's.
    pub async fn census(&self, database: Option<&Session>, local: Timestamp) -> Census {
        let now = match database {
            Some(session) => clock_of(session).await.unwrap_or(local),
            None => local,
        };
        let mut census = self.census_at(database, local, now).await;
        if let Some(session) = database
            && let Ok(records) = ledger::read(session.client(), &self.environment.name, None).await
        {
            let states = states_of(&by_plan(&records));
            let under_way = self.plans.iter().filter(|plan| {
                states
                    .get(plan.id())
                    .is_some_and(|state| is_under_way(plan, state))
            });
            self.doubt_who_holds_locks(session, &mut census.fleet, under_way)
                .await;
        }
        census
    }

    async fn census_at(&self, database: Option<&Session>, local: Timestamp, now: Timestamp) -> Census {
        let reports = probe(&Probing {
            environment: self.environment,
            root: &self.project.root,
            database,
            now: local,
            skew: now.duration_since(local),
        })
        .await;
        let requirements: Vec<ServiceRequirement> = self
            .environment
            .services
            .iter()
            .map(|service| service.requirement())
            .collect();
        let fleet = combine(&requirements, &reports, now);
        if let Some(session) = database {
            self.remember_sightings(session, &reports).await;
        }
        Census { fleet, reports, now }
    }

    /// Looks at everything now: probes the fleet, reads the ledger, folds it, and works out what every version seen now or
    /// before (and each candidate) contains. `local` is this machine's clock; the facts are dated by the database's.
    ///
    /// # Errors
    /// Without a database, or with a ledger that cannot be read, there is no telling which phases have taken effect:
    /// `ledger-unknown` (exit 3). What merely is not known of the fleet or of commits is a doubt in the facts.
    pub async fn look(
        &self,
        database: Option<&Session>,
        candidates: &[Version],
        local: Timestamp,
    ) -> Result<Situation, Problem> {
        let Some(session) = database else {
            return Err(Problem::new(
                Exit::Unknown,
                "ledger-unknown",
                format!(
                    "the database of {} cannot be asked, so it is not known which phases have taken effect",
                    self.environment.name
                ),
            )
            .because("what is not known opens no gate"));
        };
        let now = clock_of(session).await?;
        let Census {
            mut fleet, reports, ..
        } = self.census_at(database, local, now).await;
        // The ledger is read after the fleet: a phase that starts in between is then seen, never missed.
        let records = ledger::read(session.client(), &self.environment.name, None).await?;
        self.nobody_else_lives_here(session).await?;

        let by_plan = by_plan(&records);
        let plans = states_of(&by_plan);
        let Stored {
            departed,
            newer,
            unreadable,
        } = read_stored(self.plans, &by_plan, &plans);
        let under_way = in_force(self.plans, &newer, &departed).filter(|plan| {
            plans
                .get(plan.id())
                .is_some_and(|state| is_under_way(plan, state))
        });
        self.doubt_who_holds_locks(session, &mut fleet, under_way).await;
        let mut history = history(&records);
        history.sightings.extend(self.last_heartbeats(session).await);
        // Of what was seen before anything that a plan waits for, no rule asks; it may be years of versions.
        let since = in_force(self.plans, &newer, &departed)
            .filter_map(|plan| asked_since(plan, plans.get(plan.id())?))
            .min();
        if since.is_some() {
            let known = ledger::sightings::known(session.client(), &self.environment.name, since).await?;
            history
                .sightings
                .extend(known.into_iter().map(|known| known.last));
        }
        // What was deployed while the fleet was looked at may not have been seen, although its lease was given back.
        let leases = leases_since(&records, now);
        // What is being deployed is judged like what runs.
        let mut candidates = candidates.to_vec();
        candidates.extend(leases.iter().flat_map(|lease| lease.versions.iter().cloned()));
        let mut containments = self.examine(
            &fleet,
            &history,
            &candidates,
            in_force(self.plans, &newer, &departed),
        );
        for plan in in_force(self.plans, &newer, &departed) {
            let records = by_plan.get(plan.id()).map(Vec::as_slice).unwrap_or_default();
            doubt_what_was_found_otherwise(plan, records, &mut containments);
        }

        Ok(Situation {
            facts: Facts {
                environment: self.environment.name.clone(),
                now,
                // Nothing was probed before this moment.
                observed_at: now,
                protected: self.environment.protected,
                fleet,
                history,
                leases,
                containments,
                plans,
            },
            reports,
            records,
            departed,
            newer,
            unreadable,
        })
    }

    /// Remembers a look in the ledger, where there is one and the role may write: appends a `FleetObserved` record for the
    /// plan, unless the plan's last record is the same look and younger than ten minutes. What it changes is folded into
    /// the facts: a soak counts from the look that first finds a phase satisfied.
    ///
    /// # Errors
    /// The database refuses for another reason than a missing privilege or ledger.
    pub async fn remember(
        &self,
        database: &Session,
        situation: &mut Situation,
        plan: &PlanId,
        actor: &str,
    ) -> Result<(), Problem> {
        let Some(plan) = situation.in_force(self.plans).find(|known| known.id() == plan) else {
            return Ok(());
        };
        let facts = &situation.facts;
        let held: BTreeMap<PhaseId, bool> = code_phases(plan)
            .map(|(phase, _)| {
                (
                    phase.clone(),
                    satisfaction(plan.shape(), phase, facts).verdict() == Verdict::Go,
                )
            })
            .collect();
        let last = situation
            .records
            .iter()
            .rev()
            .find(|record| record.plan.as_ref() == Some(plan.id()));
        // Anything else that was recorded since (a phase that started or ended) makes the same look worth recording
        // again: it now tells what ran after that.
        if let Some(StoredRecord {
            at,
            record:
                Record::FleetObserved {
                    fleet: before,
                    satisfied: satisfied_before,
                },
            ..
        }) = last
            && *satisfied_before == held
            && looks_alike(before, &facts.fleet)
            && facts.now.duration_since(*at) < REPEAT_AFTER
        {
            return Ok(());
        }
        if !may_write(database).await? {
            tracing::debug!(plan = %plan.id(), "this look is not recorded: no ledger, or no right to write to it");
            return Ok(());
        }
        let record = Record::FleetObserved {
            fleet: facts.fleet.clone(),
            satisfied: held,
        };
        ledger::append(
            database.client(),
            &self.environment.name,
            Some(plan.id()),
            actor,
            &record,
        )
        .await?;
        let plan = plan.id().clone();
        let records = ledger::read(database.client(), &self.environment.name, Some(&plan)).await?;
        situation.facts.plans.insert(plan, fold(&records));
        Ok(())
    }

    /// The last words of instances, gone ones too: what they ran then. A heartbeat that cannot be read is a doubt in its
    /// source's report already, and a row that names no commit is one there as well.
    async fn last_heartbeats(&self, session: &Session) -> Vec<Sighting> {
        let reporting = self.environment.services.iter().filter(|service| {
            service
                .sources
                .iter()
                .any(|source| matches!(source.kind, SourceKind::Heartbeat(_)))
        });
        let mut sightings = Vec::new();
        for service in reporting {
            let name = service.name.as_str();
            let beats = ledger::recent_heartbeats(session.client(), name, REMEMBERED_HEARTBEATS)
                .await
                .unwrap_or_default();
            sightings.extend(beats.into_iter().filter_map(|beat| {
                Some(Sighting {
                    service: service.name.clone(),
                    instance: beat.instance,
                    commit: beat.commit.parse().ok()?,
                    observed_at: beat.observed_at,
                    source: "heartbeat".to_owned(),
                    completeness: Completeness::Sample,
                })
            }));
        }
        sightings
    }

    /// A database belongs to one environment. What is in effect in it under another name (the environment was renamed,
    /// or two of them name the same database) would look as though it had never begun, and what runs there is unseen.
    async fn nobody_else_lives_here(&self, session: &Session) -> Result<(), Problem> {
        let own = &self.environment.name;
        for other in ledger::other_environments(session.client(), own).await? {
            let mut by_plan: BTreeMap<PlanId, Vec<StoredRecord>> = BTreeMap::new();
            for record in ledger::read(session.client(), &other, None).await? {
                if let Some(plan) = &record.plan {
                    by_plan.entry(plan.clone()).or_default().push(record);
                }
            }
            let in_effect = by_plan
                .iter()
                .find(|(_, records)| has_effect(&fold(records)))
                .map(|(plan, _)| plan);
            if let Some(plan) = in_effect {
                return Err(Problem::new(
                    Exit::Unknown,
                    "other-environment",
                    format!("the database of {own} is that of {other}: phases of {plan} are in effect in it under that name"),
                )
                .because(
                    "a database belongs to one environment, since every service that uses it must be seen; \
                     what runs elsewhere under another name opens no gate",
                )
                .fix(format!(
                    "if the environment was renamed, call it {other} again in shipctl.toml; if these are two, correct \
                     `database` of [environments.{own}], or declare the services of both in one"
                )));
            }
        }
        Ok(())
    }

    /// What each version contains of each code phase that concerns its service.
    fn examine<'p>(
        &self,
        fleet: &Fleet,
        history: &History,
        candidates: &[Version],
        plans: impl Iterator<Item = &'p Plan>,
    ) -> Containments {
        let repositories = Repositories::new(self.project, self.environment);
        let mut versions: BTreeSet<Version> = fleet.versions();
        versions.extend(history.sightings.iter().map(|sighting| sighting.version()));
        versions.extend(candidates.iter().cloned());
        let phases: Vec<(&Plan, &PhaseId, &CodePhase)> = plans
            .flat_map(|plan| code_phases(plan).map(move |(phase, code)| (plan, phase, code)))
            .collect();
        repositories.prepare(&versions, phases.iter().map(|(_, _, code)| *code));
        let mut containments = Containments::default();
        for (plan, phase, code) in phases {
            for version in versions
                .iter()
                .filter(|version| code.services.include(&version.service))
            {
                let answer = repositories.contains(version, plan.id(), phase, code);
                containments.insert(version.clone(), plan.id().clone(), phase.clone(), answer);
            }
        }
        containments
    }
}

fn by_plan(records: &[StoredRecord]) -> BTreeMap<PlanId, Vec<StoredRecord>> {
    let mut by_plan: BTreeMap<PlanId, Vec<StoredRecord>> = BTreeMap::new();
    for record in records {
        if let Some(plan) = &record.plan {
            by_plan.entry(plan.clone()).or_default().push(record.clone());
        }
    }
    by_plan
}

fn states_of(by_plan: &BTreeMap<PlanId, Vec<StoredRecord>>) -> BTreeMap<PlanId, PlanState> {
    by_plan
        .iter()
        .map(|(id, records)| (id.clone(), fold(records)))
        .collect()
}

/// The present moment by the database's clock, which dates the ledger too.
///
/// # Errors
/// The database cannot be asked; `database-standby` (exit 3) if it is not the one that is written to: its ledger lags
/// behind, and only those who read are connected to it.
async fn clock_of(session: &Session) -> Result<Timestamp, Problem> {
    let (now, standby): (Timestamp, bool) = session
        .client()
        .query_one("SELECT clock_timestamp(), pg_is_in_recovery()", &[])
        .await
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .map_err(|error| describe_error(&error, "reading the database's clock"))?;
    if standby {
        return Err(Problem::new(
            Exit::Unknown,
            "database-standby",
            "this server is a standby of the database",
        )
        .because("its ledger lags behind, and it sees only the clients that read from it")
        .fix("name the primary; with several hosts, add `target_session_attrs=read-write`"));
    }
    Ok(now)
}

/// Whether two looks show the same versions, strangers and doubts (the instances and the moments may differ).
fn looks_alike(before: &Fleet, now: &Fleet) -> bool {
    let doubtful = |fleet: &Fleet| -> BTreeMap<_, bool> {
        fleet
            .services
            .values()
            .map(|census| (census.service.clone(), !census.doubts.is_empty()))
            .collect()
    };
    before.versions() == now.versions()
        && before.strangers == now.strangers
        && doubtful(before) == doubtful(now)
}

/// Whether the ledger is there and this role may append to it.
async fn may_write(database: &Session) -> Result<bool, Problem> {
    if !ledger::exists(database.client()).await? {
        return Ok(false);
    }
    let row = database
        .client()
        .query_one(
            "SELECT NOT pg_is_in_recovery()
                AND has_schema_privilege('shipctl', 'USAGE')
                AND has_table_privilege('shipctl.events', 'INSERT')",
            &[],
        )
        .await
        .map_err(|error| describe_error(&error, "looking whether the ledger may be written to"))?;
    Ok(row.get(0))
}
