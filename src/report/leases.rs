//! The deployments under way: who deploys what where, since when and until when.

use jiff::Timestamp;

use super::style::{self, paint};
use super::{Table, time};
use crate::safety::Lease;

/// A line a lease; one that is over says so. Empty where there is none.
pub fn table(leases: &[Lease], now: Timestamp) -> String {
    let mut table = Table::without_heading(4);
    for lease in leases {
        let since = time::relative(now, lease.since);
        let (sign, until) = if lease.is_live(now) {
            let until = format!(
                "until {} ({})",
                time::absolute(lease.until),
                time::relative(now, lease.until)
            );
            (paint(style::NAME, "◐"), until)
        } else {
            let ended = format!(
                "expired {}, and no longer counts; it was not given back",
                time::relative(now, lease.until)
            );
            (paint(style::CAUTION, "○"), paint(style::CAUTION, ended))
        };
        table.row([
            format!("{sign} {}", lease.what()),
            paint(style::DIM, format!("by {}", lease.name())),
            paint(style::DIM, since),
            until,
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    format!("{}\n{}", paint(style::DIM, "Leases"), table.render(2))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;

    use super::*;
    use crate::safety::Version;

    #[test]
    fn what_is_over_says_so_and_what_is_not_tells_its_end() {
        let now: Timestamp = "2026-11-22T10:15:00Z".parse().unwrap();
        let at = |minutes| now + SignedDuration::from_mins(minutes);
        let lease = |services: &[&str], until| Lease {
            id: until,
            holder: "ci <ci@example.org>".to_owned(),
            revision: "HEAD".to_owned(),
            versions: services
                .iter()
                .map(|service| Version {
                    service: service.parse().unwrap(),
                    commit: "ab".repeat(20).parse().unwrap(),
                })
                .collect::<BTreeSet<Version>>(),
            since: at(-20),
            until: at(until),
        };
        let text = table(&[lease(&["web", "worker"], 10), lease(&["web"], -5)], now);
        let text = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(text, @r"
        Leases
          ◐ ababababa to web and worker  by ci  20m ago  until 2026-11-22 10:25:00 UTC (in 10m)
          ○ ababababa to web             by ci  20m ago  expired 5m ago, and no longer counts; it was not given back
        ");
        assert_eq!(table(&[], now), "");
    }
}
