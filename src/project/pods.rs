//! Reading the settings of a `kubernetes` source.

use std::path::PathBuf;

use super::reader::Table;
use super::source::not_empty;
use super::{KubernetesSource, PodCommit};

/// Where a pod may say which commit it runs; one of them has to be given.
const PLACES: [&str; 4] = ["annotation", "label", "image_tag", "digests"];

const EXAMPLE: &str = "commit = { annotation = \"example.org/commit\" }";

pub(super) fn read(table: &Table<'_, '_>) -> Option<KubernetesSource> {
    let text = |key: &'static str, example: &str| {
        let text = table.required_string(key, example)?;
        not_empty(table, key, text)
    };
    let selector = text("selector", "selector = \"app=web\"");
    let namespace = text("namespace", "namespace = \"shop\"");
    let context = table
        .string("context")
        .map(|context| not_empty(table, "context", context));
    let commit = match table.table("commit") {
        Some(places) => read_commit(&places),
        None => {
            if !table.has("commit") {
                table.missing("commit", EXAMPLE);
            }
            None
        }
    };
    Some(KubernetesSource {
        selector: selector?,
        namespace: namespace?,
        context: match context {
            None => None,
            Some(read) => Some(read?),
        },
        commit: commit?,
    })
}

fn read_commit(table: &Table<'_, '_>) -> Option<PodCommit> {
    let given: Vec<&str> = PLACES.into_iter().filter(|key| table.has(key)).collect();
    if let [_, second, ..] = given.as_slice() {
        table.invalid(
            second,
            table.place_of(second),
            format!("`{}` is given as well, and the two may disagree", given[0]),
            "keep the one that the build writes",
        );
    } else if given.is_empty() {
        table.missing("annotation", EXAMPLE);
    }
    let text = |key: &'static str| not_empty(table, key, table.string(key)?);
    let (annotation, label) = (text("annotation"), text("label"));
    let (image_tag, digests) = (text("image_tag"), text("digests"));
    let pattern = if table.has("image_tag") {
        pattern(table)
    } else {
        table.out_of_place(
            "pattern",
            "it describes an image's tag",
            "remove it, or give `image_tag`",
        );
        None
    };
    let container = if table.has("digests") {
        table
            .string("container")
            .map(|container| not_empty(table, "container", container))
    } else {
        table.out_of_place(
            "container",
            "it says whose digest counts",
            "remove it, or give `digests`; `image_tag` is the name of a container itself",
        );
        None
    };
    table.finish();
    match (annotation, label, image_tag, digests) {
        (Some(annotation), None, None, None) => Some(PodCommit::Annotation(annotation)),
        (None, Some(label), None, None) => Some(PodCommit::Label(label)),
        (None, None, Some(container), None) => Some(PodCommit::ImageTag {
            container,
            pattern: pattern?,
        }),
        (None, None, None, Some(file)) => Some(PodCommit::Digests {
            file: PathBuf::from(file),
            container: match container {
                None => None,
                Some(read) => Some(read?),
            },
        }),
        _ => None,
    }
}

fn pattern(table: &Table<'_, '_>) -> Option<String> {
    let Some(pattern) = table.string("pattern") else {
        return (!table.has("pattern")).then(|| "{commit}".to_owned());
    };
    let rest = pattern.value.replace("{commit}", "");
    if pattern.value.matches("{commit}").count() != 1 || rest.contains(['{', '}']) {
        table.invalid(
            "pattern",
            pattern.span,
            "`{commit}` must stand in it once, and no other placeholder",
            "write it such as `pattern = \"sha-{commit}\"`",
        );
        return None;
    }
    Some(pattern.value)
}
