//! The files of a commit-graph, read for what the library that walks the graph leaves out or is too slow for: the corrected
//! dates of single commits, and all rows from end to end.
//!
//! A corrected date is later than those of all ancestors, whatever the clocks said. It ends a walk early where an old line
//! of history got a new commit, which the number of generations cannot.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use gix_commitgraph::Graph;

/// Signature, version, kind of ids, number of chunks, number of base graphs.
const HEADER: usize = 8;
/// A line of the table of chunks: name and offset.
const CHUNK: usize = 12;
/// What ends a file: the hash of all before it.
const CHECKSUM: usize = 20;
/// A row: the id of the tree, two parents, generation and date.
const ROW: usize = 36;
/// A corrected date, as seconds after the commit's own.
const DATE: usize = 4;
/// So many rows are read at a time.
const AT_ONCE: usize = 2_048;
/// A date that does not fit is written elsewhere; it is treated as not known.
const OVERFLOW: u32 = 1 << 31;
/// In place of a parent: there is none.
const NO_PARENT: u32 = 0x7000_0000;
/// In place of the second parent: it and more are listed elsewhere.
const MORE_PARENTS: u32 = 1 << 31;

/// The files, in the order of their commits' positions.
pub(super) struct GraphFiles {
    layers: Vec<Layer>,
}

pub(super) struct Layer {
    file: File,
    commits: usize,
    /// Where the rows begin.
    rows: u64,
    /// Where the corrected dates begin, if all of them are there.
    dates: Option<u64>,
}

/// A commit as it stands in the files.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Greater than those of all ancestors.
    pub generation: u32,
    /// Its own date, in seconds.
    pub date: u64,
    /// By how much its corrected date is later; `None` where that is not known.
    pub correction: Option<u64>,
    first: u32,
    second: u32,
}

/// The parents of a commit, by position.
pub(super) enum Parents {
    /// At most two.
    Few([Option<u32>; 2]),
    /// More than two, which the graph lists elsewhere.
    More,
}

impl Row {
    /// The parents.
    pub(super) fn parents(&self) -> Parents {
        if self.second & MORE_PARENTS != 0 {
            return Parents::More;
        }
        Parents::Few([self.first, self.second].map(|parent| (parent != NO_PARENT).then_some(parent)))
    }

    fn read(row: &[u8], correction: Option<u64>) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(row.get(at..at + 4)?.try_into().ok()?));
        let high = word(28)?;
        Some(Self {
            generation: high >> 2,
            date: u64::from(high & 3) << 32 | u64::from(word(32)?),
            correction,
            first: word(20)?,
            second: word(24)?,
        })
    }
}

impl GraphFiles {
    /// Opens the graph in a folder `objects/info`, one file or a chain of them; besides its files, unless they were
    /// replaced in the meantime.
    pub(super) fn open(info: &Path) -> Option<(Graph, Option<Self>)> {
        let mut files = Vec::new();
        let mut layers: Option<Vec<Layer>> = Some(Vec::new());
        for path in paths(info)? {
            let file = gix_commitgraph::File::at(&path).ok()?;
            if file.object_hash() != gix_hash::Kind::Sha1 {
                return None;
            }
            let layer = Layer::open(&path, file.num_commits() as usize, file.checksum().as_bytes());
            layers = layers.zip(layer).map(|(mut layers, layer)| {
                layers.push(layer);
                layers
            });
            files.push(file);
        }
        // A layer may hold commits with dates that another one cannot tell.
        if let Some(layers) = layers
            .as_mut()
            .filter(|layers| layers.iter().any(|layer| layer.dates.is_none()))
        {
            layers.iter_mut().for_each(|layer| layer.dates = None);
        }
        Some((Graph::new(files).ok()?, layers.map(|layers| Self { layers })))
    }

    /// By how much the corrected date of a commit is later than its own, in seconds; `None` where that is not known.
    pub(super) fn correction(&self, position: u32) -> Option<u64> {
        let mut at = position as usize;
        for layer in &self.layers {
            if at < layer.commits {
                let mut bytes = [0; DATE];
                let place = layer.dates? + (at * DATE) as u64;
                layer.file.read_exact_at(&mut bytes, place).ok()?;
                return correction(&bytes);
            }
            at -= layer.commits;
        }
        None
    }

    /// Shows every row with its position, in their order.
    pub(super) fn each_row(&self, mut show: impl FnMut(u32, Row)) -> Option<()> {
        let mut rows = vec![0; AT_ONCE * ROW];
        let mut dates = vec![0; AT_ONCE * DATE];
        let mut position = 0;
        for layer in &self.layers {
            for from in (0..layer.commits).step_by(AT_ONCE) {
                let count = AT_ONCE.min(layer.commits - from);
                let rows = rows.get_mut(..count * ROW)?;
                layer
                    .file
                    .read_exact_at(rows, layer.rows + (from * ROW) as u64)
                    .ok()?;
                let dates = dates.get_mut(..count * DATE)?;
                if let Some(start) = layer.dates {
                    layer
                        .file
                        .read_exact_at(dates, start + (from * DATE) as u64)
                        .ok()?;
                }
                for (row, date) in rows.chunks_exact(ROW).zip(dates.chunks_exact(DATE)) {
                    let correction = layer.dates.and_then(|_| correction(date));
                    show(position, Row::read(row, correction)?);
                    position += 1;
                }
            }
        }
        Some(())
    }
}

impl Layer {
    /// Opens a file if it is the one that ends like this.
    pub(super) fn open(path: &Path, commits: usize, checksum: &[u8]) -> Option<Self> {
        let file = File::open(path).ok()?;
        let end = file.metadata().ok()?.len().checked_sub(CHECKSUM as u64)?;
        let mut last = [0; CHECKSUM];
        file.read_exact_at(&mut last, end).ok()?;
        if last != checksum {
            return None;
        }
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        // One line more than there are chunks: the end of the last.
        let mut table = vec![0; (usize::from(header[6]) + 1) * CHUNK];
        file.read_exact_at(&mut table, HEADER as u64).ok()?;
        let lines: Vec<&[u8]> = table.chunks_exact(CHUNK).collect();
        let find = |name: &[u8]| {
            let offset = |line: &[u8]| Some(u64::from_be_bytes(line.get(4..CHUNK)?.try_into().ok()?));
            let pair = lines.windows(2).find(|pair| pair[0].starts_with(name))?;
            Some((offset(pair[0])?, offset(pair[1])?))
        };
        let whole = |(start, end_of_chunk): (u64, u64), size: usize| {
            let length = end_of_chunk.checked_sub(start)?;
            (length == (commits * size) as u64 && end_of_chunk <= end).then_some(start)
        };
        Some(Self {
            rows: whole(find(b"CDAT")?, ROW)?,
            // Dates that do not fit may be of commits whose own date did not fit either, and is cut short.
            dates: find(b"GDA2")
                .filter(|_| find(b"GDO2").is_none())
                .and_then(|chunk| whole(chunk, DATE)),
            file,
            commits,
        })
    }
}

fn correction(bytes: &[u8]) -> Option<u64> {
    let offset = u32::from_be_bytes(bytes.try_into().ok()?);
    (offset & OVERFLOW == 0).then_some(u64::from(offset))
}

/// The files of the graph in the order of their positions: one, or a chain.
fn paths(info: &Path) -> Option<Vec<PathBuf>> {
    let single = info.join("commit-graph");
    if single.is_file() {
        return Some(vec![single]);
    }
    let folder = info.join("commit-graphs");
    let chain = std::fs::read_to_string(folder.join("commit-graph-chain")).ok()?;
    chain
        .lines()
        .map(|hash| {
            let is_one = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_one.then(|| folder.join(format!("graph-{hash}.graph")))
        })
        .collect()
}
