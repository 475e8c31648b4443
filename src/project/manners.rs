//! The `manners` table of an environment: the limits within which fills keep there.

use super::document::Document;
use super::load::read_database;
use super::model::Manners;
use super::reader::{Placed, Table};
use crate::domain::limits::milliseconds;
use crate::domain::{Limit, Limits, Problem};

/// Reads `[environments.NAME.manners]`.
pub(super) fn read_manners(table: &Table<'_, '_>, warnings: &mut Vec<Problem>) -> Manners {
    let document: &Document = table.document();
    let limit = |key: &'static str, read: fn(&str) -> Result<Limit, String>, example: &str| {
        let written = table.string(key)?;
        match read(&written.value) {
            Ok(limit) => Some(limit),
            Err(why) => {
                table.invalid(key, written.span, why, format!("write `{key} = \"{example}\"`"));
                None
            }
        }
    };
    let limits = Limits {
        target_batch_ms: target_batch(table),
        rest: rest(table),
        max_replication_lag_ms: limit("max_replication_lag", Limit::of_time, "5s"),
        max_latency_ms: limit("max_latency", Limit::of_time, "50ms"),
        max_wal_bytes_per_second: limit("max_wal_rate", Limit::of_size, "20MB"),
        min_free_disk_bytes: limit("min_free_disk", Limit::of_size, "5GB"),
    };
    let replicas = table
        .strings("replicas")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|written: Placed<String>| {
            let what = format!("a replica in {}", table.what());
            if written.value.trim().is_empty() {
                table.invalid(
                    "replicas",
                    written.span,
                    "no replica is named",
                    "write a connection string, or `env:REPLICA_URL`",
                );
                return None;
            }
            Some(read_database(
                table, document, "replicas", &what, written, warnings,
            ))
        })
        .collect();
    table.finish();
    Manners { limits, replicas }
}

fn target_batch(table: &Table<'_, '_>) -> Option<u64> {
    let written = table.string("target_batch")?;
    let read = milliseconds(&written.value).ok_or_else(|| "this is not a time".to_owned());
    match read.and_then(Limits::batch_time) {
        Ok(time) => Some(time),
        Err(why) => {
            table.invalid(
                "target_batch",
                written.span,
                why,
                "write `target_batch = \"20ms\"`",
            );
            None
        }
    }
}

fn rest(table: &Table<'_, '_>) -> Option<f64> {
    let written = table.fraction("rest")?;
    match Limits::rest_ratio(written.value) {
        Ok(ratio) => Some(ratio),
        Err(why) => {
            table.invalid(
                "rest",
                written.span,
                why,
                "write `rest = 1.0` to rest as long as each batch took",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::{DatabaseSource, parse};

    fn read(text: &str) -> Result<Manners, Problem> {
        let text = format!("[environments.production]\n[environments.production.manners]\n{text}");
        parse(Path::new("/project"), &text).map(|project| {
            let environment = project.environments.into_values().next().unwrap();
            environment.manners
        })
    }

    #[test]
    fn every_key_is_read() {
        let manners = read(
            "max_replication_lag = \"5s\"\nreplicas = [\"env:REPLICA_URL\", \"host=standby\"]\nmax_latency = \"off\"\n\
             max_wal_rate = \"20MB\"\nmin_free_disk = \"5GB\"\nrest = 2\ntarget_batch = \"10ms\"\n",
        )
        .unwrap();
        assert_eq!(
            manners.limits,
            Limits {
                target_batch_ms: Some(10),
                rest: Some(2.0),
                max_replication_lag_ms: Some(Limit::At(5000)),
                max_latency_ms: Some(Limit::Off),
                max_wal_bytes_per_second: Some(Limit::At(20 << 20)),
                min_free_disk_bytes: Some(Limit::At(5 << 30)),
            }
        );
        assert!(matches!(
            manners.replicas.as_slice(),
            [DatabaseSource::Variable(name), DatabaseSource::Literal(_)] if name == "REPLICA_URL"
        ));
        assert_eq!(read("").unwrap().limits, Limits::default());
    }

    #[test]
    fn mistakes_are_reported_with_their_places_and_without_passwords() {
        let problem = read(
            "max_replication_lag = 5\nmax_latency = \"quick\"\nmax_wal_rate = \"0MB\"\nmin_free_disk = \"5\"\n\
             rest = -1\ntarget_batch = \"1h\"\nreplica = \"x\"\nreplicas = [\"\"]\n\
             replikas = [\"host=db password=hunter2\", \"postgres://a:hunter2@b\"]\n",
        )
        .unwrap_err();
        let codes: Vec<&str> = problem.related().iter().map(Problem::code).collect();
        assert_eq!(
            codes,
            [
                "wrong-type",
                "invalid-value",
                "invalid-value",
                "invalid-value",
                "invalid-value",
                "invalid-value",
                "unknown-key",
                "invalid-value",
                "unknown-key"
            ]
        );
        assert!(problem.related().iter().all(|one| one.place().is_some()));
        assert!(!format!("{:?}", miette::Report::new(problem)).contains("hunter2"));
    }

    #[test]
    fn a_password_of_a_replica_in_the_file_is_remarked_on() {
        let project = parse(
            Path::new("/project"),
            "[environments.a]\nmanners = { replicas = [\"postgres://app:hunter2@db/prod\"] }\n",
        )
        .unwrap();
        assert_eq!(project.warnings.len(), 1);
    }
}
