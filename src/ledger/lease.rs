//! Which deployments are under way, folded from the records of leases.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{LeaseEnding, Record, StoredRecord};
use crate::domain::ServiceName;
use crate::safety::{Lease, Version};

/// The leases that were not given back, in the order in which they were taken; those whose time is over are among them.
/// Records of other kinds are passed over.
pub fn leases(records: &[StoredRecord]) -> Vec<Lease> {
    fold(records, None)
}

/// The leases that counted at some time since a moment: what was given back since then is still among them. Whoever looked at
/// the fleet at that moment may not have seen what was deployed under it.
pub fn leases_since(records: &[StoredRecord], moment: Timestamp) -> Vec<Lease> {
    fold(records, Some(moment))
}

fn fold(records: &[StoredRecord], since: Option<Timestamp>) -> Vec<Lease> {
    let mut leases: Vec<Lease> = Vec::new();
    for stored in records {
        match &stored.record {
            Record::LeaseTaken {
                revision,
                versions,
                until,
            } => {
                let own = leases.iter_mut().find(|lease| {
                    lease.holder == stored.actor
                        && lease.is_live(stored.at)
                        && lease.versions.is_subset(versions)
                });
                if let Some(own) = own {
                    own.until = own.until.max(*until);
                    own.versions.clone_from(versions);
                    own.revision.clone_from(revision);
                    continue;
                }
                // What somebody else let run out is no news any more once there is a new deployment.
                let services: BTreeSet<&ServiceName> =
                    versions.iter().map(|version| &version.service).collect();
                let at = since.map_or(stored.at, |since| since.min(stored.at));
                leases.retain(|lease| {
                    lease.is_live(at)
                        || !lease
                            .versions
                            .iter()
                            .any(|version| services.contains(&version.service))
                });
                leases.push(Lease {
                    id: stored.sequence,
                    holder: stored.actor.clone(),
                    revision: revision.clone(),
                    versions: versions.clone(),
                    since: stored.at,
                    until: *until,
                });
            }
            Record::LeaseReturned {
                lease: id, services, ..
            } if since.is_none_or(|since| stored.at < since) => {
                for lease in leases.iter_mut().filter(|lease| lease.id == *id) {
                    lease
                        .versions
                        .retain(|version| !services.contains(&version.service));
                }
            }
            _ => {}
        }
        leases.retain(|lease| !lease.versions.is_empty());
    }
    leases
}

/// The records that give back what the leases hold of some versions.
pub fn lease_returns(
    leases: &[Lease],
    versions: &BTreeSet<Version>,
    ending: LeaseEnding,
    reason: Option<&str>,
) -> Vec<Record> {
    leases
        .iter()
        .filter_map(|lease| {
            let services: BTreeSet<ServiceName> = lease
                .versions
                .intersection(versions)
                .map(|version| version.service.clone())
                .collect();
            (!services.is_empty()).then(|| Record::LeaseReturned {
                lease: lease.id,
                services,
                ending,
                reason: reason.map(str::to_owned),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn version(service: &str, digit: &str) -> Version {
        Version {
            service: service.parse().unwrap(),
            commit: digit.repeat(40).parse().unwrap(),
        }
    }

    fn taken(versions: &[Version], until: i64) -> Record {
        Record::LeaseTaken {
            revision: "HEAD".to_owned(),
            versions: versions.iter().cloned().collect(),
            until: at(until),
        }
    }

    /// A log with one record every ten seconds, from second 10 on.
    fn log(records: Vec<(&str, Record)>) -> Vec<StoredRecord> {
        records
            .into_iter()
            .zip(1..)
            .map(|((actor, record), sequence)| StoredRecord {
                sequence,
                at: at(sequence * 10),
                environment: "production".parse().unwrap(),
                plan: None,
                actor: actor.to_owned(),
                record,
            })
            .collect()
    }

    fn ends(records: &[StoredRecord]) -> Vec<(i64, i64)> {
        leases(records)
            .iter()
            .map(|lease| (lease.id, lease.until.as_second()))
            .collect()
    }

    #[test]
    fn taking_a_lease_again_extends_it_and_never_shortens_it() {
        let (web, worker) = (version("web", "a"), version("worker", "a"));
        let records = log(vec![
            ("ci", taken(std::slice::from_ref(&web), 100)),
            ("ci", taken(&[web.clone(), worker.clone()], 200)),
            ("ci", taken(&[web.clone(), worker], 150)),
        ]);
        assert_eq!(ends(&records), [(1, 200)]);
        assert_eq!(leases(&records)[0].versions.len(), 2);
        assert_eq!(leases(&records)[0].since, at(10));
        // Somebody else's, or for another version, is another one.
        let records = log(vec![
            ("ci", taken(std::slice::from_ref(&web), 100)),
            ("ann", taken(&[web], 100)),
            ("ci", taken(&[version("web", "b")], 100)),
        ]);
        assert_eq!(ends(&records), [(1, 100), (2, 100), (3, 100)]);
    }

    #[test]
    fn one_that_is_over_is_not_extended_but_replaced() {
        let web = version("web", "a");
        let records = log(vec![
            ("ci", taken(std::slice::from_ref(&web), 15)),
            ("ci", taken(&[version("worker", "a")], 100)),
            ("ci", taken(&[web], 100)),
        ]);
        assert_eq!(ends(&records[..2]), [(1, 15), (2, 100)]);
        assert_eq!(ends(&records), [(2, 100), (3, 100)]);
    }

    #[test]
    fn what_was_given_back_or_replaced_since_a_look_still_counts_for_it() {
        let web = version("web", "a");
        let mut records = log(vec![
            ("ci", taken(std::slice::from_ref(&web), 25)),
            ("ann", taken(&[version("web", "b")], 100)),
        ]);
        let returned = lease_returns(
            &leases(&records),
            &BTreeSet::from([web]),
            LeaseEnding::Deployed,
            None,
        );
        let first = records[0].clone();
        records.extend(returned.into_iter().map(|record| StoredRecord {
            sequence: 3,
            at: at(23),
            record,
            ..first.clone()
        }));
        let counted = |moment| -> Vec<i64> {
            let leases = leases_since(&records, at(moment));
            leases.iter().map(|lease| lease.id).collect()
        };
        assert_eq!(counted(15), [1, 2], "given back since");
        assert_eq!(counted(23), [1, 2], "at that very moment");
        assert_eq!(counted(24), [2], "given back before");
        // Run out at 15, and replaced at 20.
        let replaced = log(vec![
            ("ci", taken(&[version("web", "a")], 15)),
            ("ann", taken(&[version("web", "b")], 100)),
        ]);
        assert_eq!(leases(&replaced).len(), 1);
        assert_eq!(leases_since(&replaced, at(14)).len(), 2);
    }

    #[test]
    fn what_is_given_back_is_gone_service_by_service() {
        let (web, worker) = (version("web", "a"), version("worker", "a"));
        let mut records = log(vec![
            ("ci", taken(&[web.clone(), worker.clone()], 100)),
            ("ann", taken(std::slice::from_ref(&web), 100)),
        ]);
        for (version, left) in [(version("web", "b"), 2), (web, 1), (worker, 0)] {
            let returns = lease_returns(
                &leases(&records),
                &BTreeSet::from([version]),
                LeaseEnding::Deployed,
                None,
            );
            for record in returns {
                let sequence = i64::try_from(records.len()).unwrap() + 1;
                records.push(StoredRecord {
                    sequence,
                    record,
                    ..records[0].clone()
                });
            }
            assert_eq!(leases(&records).len(), left);
        }
    }
}
