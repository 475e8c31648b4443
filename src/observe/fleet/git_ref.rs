//! `git-ref`: a tag or branch that the deploy pipeline moves. A claim, and only as fresh as the last fetch.

use super::{Findings, Probing, Seen, doubt_of, shown};
use crate::observe::git::Repository;
use crate::project::Service;
use crate::safety::Doubt;

pub(super) async fn ask(
    probing: &Probing<'_>,
    service: &Service,
    reference: &str,
) -> Result<Findings, Doubt> {
    let path = service
        .repository
        .clone()
        .unwrap_or_else(|| probing.root.to_owned());
    let name = reference.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        Repository::discover(&path)
            .map_err(|problem| doubt_of(&problem))?
            .reference(&name)
    })
    .await
    .map_err(|error| {
        Doubt::new(format!(
            "reading the reference `{}` failed: {error}",
            shown(reference)
        ))
    })??;
    Ok(Findings {
        seen: vec![Seen {
            instance: found.name,
            commit: found.commit,
            at: found.fetched_at.unwrap_or(probing.now),
        }],
        ..Findings::default()
    })
}
