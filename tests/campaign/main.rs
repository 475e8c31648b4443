//! The campaign of kills: whatever befalls a run, wherever it is, the same command run again must leave exactly what an
//! undisturbed run leaves. CONTRIBUTING.md tells how to run it at length.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "in a test this is how a failure shows, in its helpers too"
)]

mod blow;
mod campaign;
mod scenario;
mod state;
#[path = "../integration/support.rs"]
mod support;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use blow::Blow;
use campaign::{Campaign, Target, not_met, targets};
use shipctl::execute::failpoint::Failpoint;

/// Failpoints that no station surely comes by: these fills are over before a vacuum is worth it.
const NOT_MET: [Failpoint; 1] = [Failpoint::FillVacuumed];

/// A number from the surroundings.
fn asked<N: std::str::FromStr>(name: &str, otherwise: N) -> N {
    let parsed = |text: String| text.parse().ok().unwrap_or_else(|| panic!("{name}={text}"));
    std::env::var(name).map_or(otherwise, parsed)
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
fn a_run_killed_at_any_failpoint_is_carried_on_by_the_next() {
    let campaign = Campaign::new(0, 0);
    campaign.run_briefly(2);
    let tally = campaign.tally.into_inner().unwrap();
    assert_eq!(tally.without(Blow::Kill), NOT_MET, "\n{tally}");
}

/// Every pair of a failpoint and a blow once before any comes a second time, and no more than so many.
fn spread(mut targets: Vec<Target>, random: &mut fastrand::Rng, at_most: usize) -> Vec<Target> {
    random.shuffle(&mut targets);
    let mut seen: BTreeMap<(Failpoint, Blow), u32> = BTreeMap::new();
    let mut ranked: Vec<(u32, Target)> = targets
        .into_iter()
        .map(|target| {
            let rank = seen.entry((target.point, target.blow)).or_default();
            *rank += 1;
            (*rank, target)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.truncate(at_most);
    ranked.into_iter().rev().map(|(_, target)| target).collect()
}

#[test]
#[ignore = "takes minutes, and a debug build; see CONTRIBUTING.md"]
fn whatever_befalls_a_run_the_next_one_leaves_what_an_undisturbed_one_leaves() {
    let kills: u32 = asked("CAMPAIGN_KILLS", 600);
    let seed: u64 = asked("CAMPAIGN_SEED", 1);
    let at_random = kills / 4;
    let begun = Instant::now();
    let campaign = Campaign::new(seed, at_random);
    campaign.run(asked("CAMPAIGN_LANES", 2), |prepared| {
        assert_eq!(not_met(prepared), NOT_MET, "no station comes by these");
        let all = targets(prepared, &Blow::ALL);
        eprintln!("{} targets", all.len());
        let mut random = fastrand::Rng::with_seed(seed);
        spread(all, &mut random, usize::try_from(kills - at_random).unwrap())
    });
    let tally = campaign.tally.into_inner().unwrap();
    assert!(tally.count() >= kills / 10 * 9, "too many missed:\n{tally}");
    eprintln!("{tally}\nseed {seed}, {:.0} s", begun.elapsed().as_secs_f64());
}
