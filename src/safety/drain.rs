//! The drain window: a version is gone only after every look of a while, as long as the longest job, lacked it.
//!
//! A worker that holds a connection only while it works, or reports only then, is not seen in between. One look that does not
//! see it shows little; several, spread over the longest time that it may be hidden, show that it is gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Doubt, Sighting, Version};

/// How often, and for how long, a source must not have seen a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainWindow {
    /// How many looks there must have been, the present one included. At least 2.
    pub samples: u32,
    /// Over how long a time.
    pub over: SignedDuration,
}

impl DrainWindow {
    /// The longest time between two looks with which the window can be covered.
    pub fn pace(&self) -> SignedDuration {
        self.over
            .checked_div(i32::try_from(self.samples.saturating_sub(1)).unwrap_or(i32::MAX))
            .unwrap_or(self.over)
    }

    /// How soon after the last one a look that shows the same is worth keeping. Often enough for the window, and no more.
    pub fn worth_keeping_after(&self) -> SignedDuration {
        self.pace().checked_div(2).unwrap_or(SignedDuration::ZERO)
    }

    /// How long what a kept look saw counts as running. Looks after it that showed the same were not kept, so that it may have
    /// been seen as late as that: the whole window begins there.
    pub fn lingers(&self) -> SignedDuration {
        self.over
            .checked_add(self.worth_keeping_after())
            .unwrap_or(SignedDuration::MAX)
    }

    /// How long looks are of use.
    pub fn horizon(&self) -> SignedDuration {
        self.over.checked_mul(2).unwrap_or(SignedDuration::MAX)
    }
}

/// An earlier look of one source at one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was.
    pub at: Timestamp,
    /// Whether the source saw everything then, and doubted nothing.
    pub complete: bool,
    /// What it saw.
    pub sightings: Vec<Sighting>,
}

/// How far a drain window is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The window.
    pub window: DrainWindow,
    /// The complete looks from its beginning to now, the first and the present one included.
    pub counted: u32,
    /// Whether they cover it.
    pub covered: bool,
    /// The look with which the covered time begins: the oldest that is of use.
    pub since: Timestamp,
    /// How many instances one earlier look saw at once, at most. Those that several looks saw may be one that changes its name.
    pub at_once: usize,
}

/// What a drain window adds to the present look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How far it is covered.
    pub coverage: Coverage,
    /// The last kept sighting of each instance of a version that is not seen now but may have been within the window.
    pub lingering: Vec<Sighting>,
    /// Why absence is not proven yet, if it is not.
    pub doubt: Option<Doubt>,
}

/// Holds the present look of a source against its earlier ones. Absence is proven once there were `samples` complete looks
/// from the beginning of the window (or up to as long again before it) to now, the first and this one included.
///
/// `complete` tells whether the present look saw everything; `who` names the source for the doubt.
pub fn drain(
    window: DrainWindow,
    present: &[Sighting],
    complete: bool,
    earlier: &[Sample],
    now: Timestamp,
    who: &str,
) -> Drained {
    let age = |sample: &&Sample| now.duration_since(sample.at);
    let useful = earlier
        .iter()
        .filter(|sample| (SignedDuration::ZERO..=window.horizon()).contains(&age(sample)));
    let (within, before): (Vec<&Sample>, Vec<&Sample>) = useful.partition(|sample| age(sample) < window.over);
    let begins = before.iter().any(|sample| sample.complete);
    let in_between = within.iter().filter(|sample| sample.complete).count();
    let counted = u32::try_from(in_between + usize::from(begins) + usize::from(complete)).unwrap_or(u32::MAX);
    let complete_since = |samples: &[&Sample]| {
        let complete = samples.iter().filter(|sample| sample.complete);
        complete.map(|sample| sample.at).min()
    };
    let since = complete_since(&before).or(complete_since(&within)).unwrap_or(now);

    // A look that the clock dates after now still saw what it saw.
    let recent = || earlier.iter().filter(|sample| age(sample) < window.lingers());
    let at_once = recent().map(instances).max().unwrap_or(0);
    let seen = recent().flat_map(|sample| &sample.sightings);
    let mut lingering: BTreeMap<(Version, &str), &Sighting> = BTreeMap::new();
    for sighting in seen {
        let version = sighting.version();
        if present.iter().any(|running| running.version() == version) {
            continue;
        }
        let last = lingering
            .entry((version, sighting.instance.as_str()))
            .or_insert(sighting);
        if sighting.observed_at > last.observed_at {
            *last = sighting;
        }
    }

    let doubt = (!begins || counted < window.samples).then(|| {
        let (over, pace) = (window.over, whole(window.pace()));
        let covered = if begins {
            format!("{counted} of {} in the last {over:#}", window.samples)
        } else {
            format!(
                "{counted} of {}, the first of them {:#} ago",
                window.samples,
                whole(now.duration_since(since))
            )
        };
        Doubt::new(format!(
            "{who} has not been looked at often enough to show that a version is gone: {covered}"
        ))
        .fix(format!(
            "look again at least every {pace:#} until {over:#} are covered (`shipctl run PLAN --watch --interval {}` does so by \
             itself, and each `shipctl deployed` counts)",
            window.pace().as_secs().max(1)
        ))
    });
    Drained {
        coverage: Coverage {
            window,
            counted,
            covered: doubt.is_none(),
            since,
            at_once,
        },
        lingering: lingering.into_values().cloned().collect(),
        doubt,
    }
}

fn instances(sample: &Sample) -> usize {
    let sightings = sample.sightings.iter();
    let instances: BTreeSet<&str> = sightings.map(|sighting| sighting.instance.as_str()).collect();
    instances.len()
}

/// A duration without the parts of a second that nobody wants to read.
fn whole(duration: SignedDuration) -> SignedDuration {
    match duration.as_secs() {
        0 => SignedDuration::from_millis(i64::from(duration.subsec_millis())),
        seconds => SignedDuration::from_secs(seconds),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::safety::samples::{at, sighting};

    const WINDOW: DrainWindow = DrainWindow {
        samples: 5,
        over: SignedDuration::from_secs(100),
    };

    /// A complete look that saw a web of this level.
    fn look(second: i64, level: usize) -> Sample {
        Sample {
            at: at(second),
            complete: true,
            sightings: vec![sighting("web", level, at(second))],
        }
    }

    /// The window as seen at second 1000, where only level 1 runs.
    fn drained(earlier: &[Sample]) -> Drained {
        drain(
            WINDOW,
            &[sighting("web", 1, at(1000))],
            true,
            earlier,
            at(1000),
            "connections of web",
        )
    }

    #[test]
    fn absence_is_proven_by_enough_looks_over_the_whole_window() {
        let looks: Vec<Sample> = [900, 925, 950, 975].map(|second| look(second, 1)).into();
        let found = drained(&looks);
        assert_eq!((found.doubt, found.coverage.counted), (None, 5));
    }

    #[test]
    fn too_few_looks_or_too_short_a_time_prove_nothing() {
        for (seconds, covered) in [
            (vec![], "1 of 5, the first of them 0s ago"),
            (vec![920, 940, 960, 980], "5 of 5, the first of them 1m 20s ago"),
            (vec![900, 950, 975], "4 of 5 in the last 1m 40s"),
            // What lies too far back says nothing of the time in between.
            (
                vec![700, 920, 940, 960, 980],
                "5 of 5, the first of them 1m 20s ago",
            ),
        ] {
            let looks: Vec<Sample> = seconds.iter().map(|second| look(*second, 1)).collect();
            let doubt = drained(&looks).doubt.unwrap();
            assert!(doubt.why.contains(covered), "{seconds:?}: {}", doubt.why);
        }
    }

    #[test]
    fn a_look_that_failed_covers_nothing_but_what_it_saw_counts() {
        let mut looks: Vec<Sample> = [900, 920, 940, 960, 980].map(|second| look(second, 1)).into();
        assert_eq!(drained(&looks).doubt, None);
        looks[2].complete = false;
        looks[2].sightings = vec![sighting("web", 0, at(940))];
        looks.remove(4);
        let found = drained(&looks);
        assert!(found.doubt.is_some());
        assert_eq!(found.lingering, [sighting("web", 0, at(940))]);
    }

    /// Looks are kept 12.5 seconds apart at the closest where they show the same, and the window is 100 seconds.
    #[test]
    fn a_version_lingers_until_the_window_has_passed_since_it_may_have_been_seen_last() {
        let at_first = |second| {
            let first = [(870, 0), (second, 0)].map(|(second, level)| look(second, level));
            let then = [920, 940, 960, 980].map(|second| look(second, 1));
            drained(&[first.as_slice(), then.as_slice()].concat())
        };
        for second in [901, 900, 888] {
            assert_eq!(at_first(second).lingering, [sighting("web", 0, at(second))]);
        }
        let found = at_first(887);
        assert_eq!((found.lingering, found.doubt), (vec![], None));
    }

    #[test]
    fn looks_that_see_nobody_in_between_cover_the_window_too() {
        let mut looks: Vec<Sample> = [900, 920, 940, 960, 980].map(|second| look(second, 1)).into();
        for resting in [1, 3, 4] {
            looks[resting].sightings.clear();
        }
        let found = drain(WINDOW, &[], true, &looks, at(1000), "connections of web");
        assert_eq!(
            (found.doubt, found.lingering),
            (None, vec![sighting("web", 1, at(940))])
        );
    }

    #[test]
    fn processes_that_follow_each_other_are_not_counted_together() {
        let process = |number: usize, second| Sighting {
            instance: format!("{number}@10.0.0.5"),
            ..sighting("web", 1, at(second))
        };
        let mut looks: Vec<Sample> = [900, 920, 940, 960, 980].map(|second| look(second, 1)).into();
        for (number, look) in looks.iter_mut().enumerate() {
            look.sightings = vec![process(number, 900), process(number, 901)];
        }
        looks[3].sightings.push(process(9, 960));
        let found = drain(WINDOW, &[], true, &looks, at(1000), "connections of web");
        assert_eq!((found.lingering.len(), found.coverage.at_once), (6, 2));
    }

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let one = (700_i64..1000, 0_usize..3, any::<bool>());
        proptest::collection::vec(one, 0..12).prop_map(|looks| {
            looks
                .into_iter()
                .map(|(second, level, complete)| Sample {
                    complete,
                    ..look(second, level)
                })
                .collect()
        })
    }

    proptest! {
        /// Whatever looks are left out because they show what the last kept one showed, what any of them saw within the window
        /// counts as running.
        #[test]
        fn what_a_look_saw_that_was_not_kept_is_not_forgotten(
            mut seconds in proptest::collection::btree_set(700_i64..1000, 1..40),
            last in 901_i64..1000,
        ) {
            seconds.retain(|second| *second <= last);
            seconds.insert(last);
            let mut kept: Vec<Sample> = Vec::new();
            for second in seconds {
                let early = kept.last().is_some_and(|before| {
                    at(second).duration_since(before.at) < WINDOW.worth_keeping_after()
                });
                if !early {
                    kept.push(look(second, 0));
                }
            }
            prop_assert!(!drained(&kept).lingering.is_empty());
        }

        /// Whatever else was seen, a version that was seen within the window and is not seen now is never lost.
        #[test]
        fn nothing_seen_within_the_window_is_forgotten(mut looks in samples(), second in 901_i64..1000) {
            looks.push(look(second, 0));
            let found = drained(&looks);
            prop_assert!(found.lingering.iter().any(|one| one.version() == sighting("web", 0, at(0)).version()));
        }

        /// Fewer looks never prove more.
        #[test]
        fn forgetting_a_look_proves_nothing(looks in samples(), drop in any::<prop::sample::Index>()) {
            prop_assume!(!looks.is_empty());
            let all = drained(&looks);
            let mut fewer = looks.clone();
            fewer.remove(drop.index(looks.len()));
            prop_assert!(all.doubt.is_none() || drained(&fewer).doubt.is_some());
        }

        /// Absence is only ever proven by as many complete looks as were asked for, and one from before the window.
        #[test]
        fn absence_takes_as_many_looks_as_were_asked_for(looks in samples()) {
            if drained(&looks).doubt.is_none() {
                let complete = |from: i64, to: i64| {
                    looks
                        .iter()
                        .filter(|look| look.complete && (at(from)..=at(to)).contains(&look.at))
                        .count()
                };
                prop_assert!(complete(901, 1000) >= 3);
                prop_assert!(complete(800, 900) >= 1);
            }
        }
    }
}
