//! The rounds in which a range of blocks is filled, so that most rows stay where they are.
//!
//! PostgreSQL writes a changed row as a new version. Where the block is full, which it mostly is, the version
//! goes to another block, every index gets an entry for it, and the table doubles. So a range is gone through in several
//! rounds, each of which changes a part of the rows of every block. What the first round leaves behind in a block is
//! dead soon after, since each batch commits; the next reader of the block clears it away, and the versions of the next
//! round fit in. Most rows stay where they are that way and need no entry in any index. Where that does not
//! come true (the column is indexed, or a long transaction keeps old versions alive), one round does it all.

use super::statement::SHARES;
use crate::postgres::ledger::fill_range::FillRange;

/// What part of a block's rows is filled after each round, of [`SHARES`]. The rows of the first all go elsewhere, and every
/// index gets an entry for each; those of the next have the room of the ones before. A smaller first round keeps indexes
/// smaller and has the server search their full pages for dead entries again and again, which takes longer. More rounds
/// would leave a few more rows in place, and read the range as often. These were measured to be a fair middle.
const FILLED_AFTER: [i32; 6] = [20, 44, 68, 90, 110, SHARES];
/// The last round, which takes every row that is left.
pub(super) const LAST_ROUND: i16 = FILLED_AFTER.len() as i16 - 1;
/// At least so many batches make up a round, so that what a batch leaves behind is dead when the next round comes by:
/// other workers' transactions may still see it until they end.
pub(super) const BATCHES_A_ROUND: i64 = 3;
/// Where a smaller part of the rows than this needs filling, it is not worth going through the range in rounds.
const WORTH_ROUNDS: f64 = 0.3;
/// Where a smaller part than this of a later round's rows stays in place, neither.
const STAYS_IN_PLACE: f64 = 0.25;
/// So many changed rows tell how many stay in place.
const TELLING: u64 = 200;
/// After so many ranges that were filled at once, it is looked again whether rows stay in place.
pub(super) const LOOK_AGAIN_AFTER: u32 = 8;

/// What was seen of the range at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sense {
    /// The range.
    pub(super) number: Option<i32>,
    /// The round in which this worker left it.
    pub(super) round: i16,
    /// Whether its last round takes more than its part.
    pub(super) whole: bool,
    /// Rows changed in the first round.
    pub(super) first: u64,
    /// Rows changed in later rounds, and how many of them stayed in place.
    pub(super) later: u64,
    pub(super) in_place: u64,
}

impl Sense {
    /// Goes on with a range, or begins to look at another one, or at one that somebody else brought further. With `at_once`
    /// ranges left to fill at once, or in a `sweep`, a range that is in its first round goes to its last.
    pub(super) fn enter(&mut self, range: &mut FillRange, sweep: bool, at_once: &mut u32) {
        if self.number == Some(range.number) && self.round == range.round {
            return;
        }
        *self = Self {
            number: Some(range.number),
            round: range.round,
            // What was begun by somebody else may be left to its last round.
            whole: range.round == LAST_ROUND,
            ..Self::default()
        };
        if range.round == 0 && (sweep || *at_once > 0) {
            *at_once = at_once.saturating_sub(1);
            range.round = LAST_ROUND;
            // Who began it may have come to its middle, with most rows before that still to be done.
            range.next_block = range.first_block;
            self.whole = true;
        }
    }

    /// Whether rows turned out not to stay in place.
    pub(super) fn gave_up(&self) -> bool {
        self.later >= TELLING && (self.in_place as f64) < self.later as f64 * STAYS_IN_PLACE
    }

    /// Whether what is left of the range is better done at once, now that a round is over.
    pub(super) fn is_enough(&self, round: i16, rows: f64) -> bool {
        match round {
            0 => (self.first as f64) < rows * filled_before(1) * WORTH_ROUNDS,
            _ => self.gave_up(),
        }
    }
}

/// The part of a block's rows that a round takes, together with those before it, of [`SHARES`].
pub(super) fn shares_after(round: i16) -> i32 {
    let known = usize::try_from(round)
        .ok()
        .and_then(|round| FILLED_AFTER.get(round));
    known.copied().unwrap_or(SHARES)
}

/// The part of the rows that is filled when a round begins.
pub(super) fn filled_before(round: i16) -> f64 {
    match round {
        0 => 0.0,
        _ => f64::from(shares_after(round - 1)) / f64::from(SHARES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_given_up_where_rows_do_not_stay_in_place_or_few_need_filling() {
        let seen = |first, later, in_place| Sense {
            first,
            later,
            in_place,
            ..Sense::default()
        };
        let rows = 10.0 * f64::from(SHARES);
        let part = u64::try_from(FILLED_AFTER[0]).unwrap() * 10;
        assert!(!seen(part, 0, 0).is_enough(0, rows));
        assert!(seen(part / 5, 0, 0).is_enough(0, rows));
        assert!(!seen(part, 900, 700).is_enough(1, rows));
        assert!(seen(part, 900, 90).is_enough(1, rows));
        assert!(!seen(part, 20, 0).is_enough(1, rows), "too few to tell");
    }

    #[test]
    fn a_range_that_somebody_else_brought_to_its_last_round_is_taken_to_be_whole() {
        let mut range = FillRange::new(3, "public.t", 0, Some(1_000));
        let (mut sense, mut at_once) = (Sense::default(), 0);
        sense.enter(&mut range, false, &mut at_once);
        assert!(!sense.whole);
        range.round = 1;
        sense.round = 1;
        sense.first = 10;
        sense.enter(&mut range, false, &mut at_once);
        assert_eq!(sense.first, 10, "it goes on with its own");
        range.round = LAST_ROUND;
        sense.enter(&mut range, false, &mut at_once);
        assert!(sense.whole);
        // To be filled at once from the first round on: from its beginning, wherever somebody was.
        let mut other = FillRange {
            next_block: 500,
            ..FillRange::new(4, "public.t", 0, Some(1_000))
        };
        at_once = 1;
        sense.enter(&mut other, false, &mut at_once);
        assert_eq!((other.round, other.next_block, at_once), (LAST_ROUND, 0, 0));
    }

    #[test]
    fn the_rounds_take_every_row() {
        assert!(FILLED_AFTER.is_sorted());
        assert_eq!(shares_after(LAST_ROUND), SHARES);
        assert_eq!(filled_before(LAST_ROUND + 1), 1.0);
    }
}
