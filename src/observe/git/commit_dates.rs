//! The corrected commit dates of a commit-graph: a date for each commit that is later than those of all its ancestors,
//! whatever the clocks said. They end a walk early where an old line of history got a new commit, which the number of
//! generations cannot. The reader of the graph leaves them out, so they are read from its files here.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Signature, version, kind of ids, number of chunks, number of base graphs.
const HEADER: usize = 8;
/// A line of the table of chunks: name and offset.
const CHUNK: usize = 12;
/// A date that does not fit is written elsewhere; it is treated as not known.
const OVERFLOW: u32 = 1 << 31;

/// How long the checksum at a file's end is.
const CHECKSUM: usize = 20;
/// The graph keeps 34 bits of a commit's own date, and an offset that fits has 31.
const LATEST: i64 = (1 << 34) - (1 << 31);

/// Whether the graph can keep a commit's date, and the corrected one, as long as every offset fits. Where that holds of the
/// starts of a walk, none of what they reach was cut off either: corrected dates are later than those of all ancestors.
/// (A git that adds to a graph reckons with dates that were cut off there, so what a walk would end at is asked too.)
pub(super) fn is_within_bounds(date: i64) -> bool {
    (0..LATEST).contains(&date)
}

/// By how much each commit's corrected date is later than its own, in seconds: four bytes each, by position.
pub(super) struct CorrectedDates {
    offsets: Vec<u8>,
}

impl CorrectedDates {
    /// Reads them from the files of a graph that holds so many commits. `None` unless every file has them, all of them fit,
    /// and none was replaced.
    pub(super) fn read(files: &Files, commits: u32) -> Option<Self> {
        let mut offsets = Vec::new();
        for (path, checksum) in &files.files {
            let file = File::open(path).ok()?;
            if checksum_of(&file)? != *checksum {
                return None;
            }
            append(&file, &mut offsets)?;
        }
        (offsets.len() == commits as usize * 4).then_some(Self { offsets })
    }

    /// The seconds to be added to a commit's own date; `None` where they are not known.
    pub(super) fn offset(&self, position: u32) -> Option<u64> {
        let at = position as usize * 4;
        let bytes = self.offsets.get(at..at + 4)?.try_into().ok()?;
        let offset = u32::from_be_bytes(bytes);
        (offset & OVERFLOW == 0).then_some(u64::from(offset))
    }
}

/// The files of the graph in the order of their positions, one or a chain of them, each with its checksum.
#[derive(PartialEq, Eq)]
pub(super) struct Files {
    files: Vec<(PathBuf, [u8; CHECKSUM])>,
}

impl Files {
    /// Those in a folder `objects/info`, as they are now.
    pub(super) fn of(info: &Path) -> Option<Self> {
        let files = paths(info)?
            .into_iter()
            .map(|path| {
                let checksum = checksum_of(&File::open(&path).ok()?)?;
                Some((path, checksum))
            })
            .collect::<Option<_>>()?;
        Some(Self { files })
    }
}

fn checksum_of(file: &File) -> Option<[u8; CHECKSUM]> {
    let length = file.metadata().ok()?.len();
    let mut checksum = [0; CHECKSUM];
    file.read_exact_at(&mut checksum, length.checked_sub(CHECKSUM as u64)?)
        .ok()?;
    Some(checksum)
}

fn paths(info: &Path) -> Option<Vec<PathBuf>> {
    let single = info.join("commit-graph");
    if single.is_file() {
        return Some(vec![single]);
    }
    let folder = info.join("commit-graphs");
    let chain = std::fs::read_to_string(folder.join("commit-graph-chain")).ok()?;
    let name = |hash: &str| folder.join(format!("graph-{hash}.graph"));
    Some(chain.lines().map(name).collect())
}

/// Appends the chunk with the offsets.
fn append(file: &File, offsets: &mut Vec<u8>) -> Option<()> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    // One line more than there are chunks: the end of the last.
    let mut table = vec![0; (usize::from(header[6]) + 1) * CHUNK];
    file.read_exact_at(&mut table, HEADER as u64).ok()?;
    let offset = |line: &[u8]| Some(u64::from_be_bytes(line.get(4..CHUNK)?.try_into().ok()?));
    let lines: Vec<&[u8]> = table.chunks_exact(CHUNK).collect();
    // A date that does not fit may have descendants in another file, whose dates were cut off.
    if lines.iter().any(|line| line.starts_with(b"GDO2")) {
        return None;
    }
    let pair = lines.windows(2).find(|pair| pair[0].starts_with(b"GDA2"))?;
    let (start, end) = (offset(pair[0])?, offset(pair[1])?);
    let length = usize::try_from(end.checked_sub(start)?).ok()?;
    if end > file.metadata().ok()?.len() {
        return None;
    }
    let before = offsets.len();
    offsets.resize(before + length, 0);
    file.read_exact_at(&mut offsets[before..], start).ok()
}
