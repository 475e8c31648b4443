//! The tables of one moment in bits, and what statements do to them.

use super::model::{Columns, one, places};

/// The tables of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Schema {
    /// The columns that are there.
    pub exists: Columns,
    /// Those that are NOT NULL.
    pub not_null: Columns,
    /// Those that a row gets a value in which is inserted without them.
    pub filled: Columns,
    /// Those that nobody may write, since PostgreSQL makes their values.
    pub generated: Columns,
    /// Those whose values are what was last written in every row.
    pub valid: Columns,
    /// Those in which there may be rows without any value; where the rows of a table are counted as a column, whether there
    /// may be any.
    pub blank: Columns,
    /// The constraints, triggers and views of the plans that are there.
    pub guards: u64,
}

/// One thing that a statement does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Add(Addition),
    Drop {
        column: usize,
        lenient: bool,
    },
    Move {
        from: usize,
        to: usize,
    },
    NotNull {
        column: usize,
        on: bool,
    },
    Default {
        column: usize,
        on: bool,
    },
    Generated {
        column: usize,
        on: bool,
    },
    Guards {
        guards: u64,
        on: bool,
    },
    Fill {
        target: usize,
        sources: Columns,
    },
    /// Something that is not known may have filled these.
    Presumed {
        columns: Columns,
    },
    /// Every row must have a value in these.
    Whole {
        columns: Columns,
    },
    /// The statement fails while one of the guards is there that depends on the column.
    Undepended {
        column: usize,
        guards: u64,
    },
}

/// A column that comes.
#[derive(Clone, Debug)]
pub(super) struct Addition {
    pub column: usize,
    pub not_null: bool,
    pub filled: bool,
    pub generated: bool,
    pub valid: bool,
    /// Rows that are there get no value.
    pub blank: bool,
    /// The rows of its table, where they are counted as a column.
    pub rows: Columns,
    pub lenient: bool,
}

/// Why a statement cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The column is there already.
    Exists(usize),
    /// The column is not there.
    Missing(usize),
    /// Something depends on the column.
    Depended { column: usize, guard: usize },
}

impl Schema {
    /// Does what a statement does, and tells in which columns rows lack a value that must have one from then on.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Columns, Refusal> {
        match *op {
            Op::Add(ref addition) => return self.add(addition),
            Op::Drop { column, lenient } => {
                if self.exists & one(column) == 0 {
                    return if lenient {
                        Ok(0)
                    } else {
                        Err(Refusal::Missing(column))
                    };
                }
                for part in self.parts() {
                    *part &= !one(column);
                }
            }
            Op::Move { from, to } => {
                if self.exists & one(from) == 0 {
                    return Err(Refusal::Missing(from));
                }
                if self.exists & one(to) != 0 {
                    return Err(Refusal::Exists(to));
                }
                for part in self.parts() {
                    let had = *part & one(from) != 0;
                    set(part, to, had);
                    set(part, from, false);
                }
            }
            Op::NotNull { column, on } => {
                self.needs(one(column))?;
                let unfilled = if on { self.unfilled(one(column)) } else { 0 };
                set(&mut self.not_null, column, on);
                return Ok(unfilled);
            }
            Op::Default { column, on } => {
                self.needs(one(column))?;
                set(&mut self.filled, column, on);
            }
            Op::Generated { column, on } => {
                self.needs(one(column))?;
                set(&mut self.generated, column, on);
            }
            Op::Guards { guards, on: true } => self.guards |= guards,
            Op::Guards { guards, on: false } => self.guards &= !guards,
            Op::Fill { target, sources } => {
                self.needs(one(target) | sources)?;
                let is_valid = self.valid & sources == sources;
                set(&mut self.valid, target, is_valid);
                // A value that is made of others that are not there is none either.
                let is_blank = sources != 0 && self.blank & sources == sources;
                set(&mut self.blank, target, is_blank);
            }
            Op::Presumed { columns } => {
                self.valid |= columns & self.exists;
                self.blank &= !columns;
            }
            Op::Whole { columns } => return Ok(self.unfilled(columns)),
            Op::Undepended { column, guards } => {
                if let Some(guard) = places(u128::from(self.guards & guards)).next() {
                    return Err(Refusal::Depended { column, guard });
                }
            }
        }
        Ok(0)
    }

    fn add(&mut self, addition: &Addition) -> Result<Columns, Refusal> {
        let column = addition.column;
        if self.exists & one(column) != 0 {
            return if addition.lenient {
                Ok(0)
            } else {
                Err(Refusal::Exists(column))
            };
        }
        let has_rows = addition.rows == 0 || self.blank & addition.rows != 0;
        let is_blank = addition.blank && has_rows;
        self.exists |= one(column);
        set(&mut self.not_null, column, addition.not_null);
        set(&mut self.filled, column, addition.filled);
        set(&mut self.generated, column, addition.generated);
        set(&mut self.valid, column, addition.valid);
        set(&mut self.blank, column, is_blank);
        Ok(if is_blank && addition.not_null {
            one(column)
        } else {
            0
        })
    }

    /// What belongs to a column.
    fn parts(&mut self) -> [&mut Columns; 6] {
        [
            &mut self.exists,
            &mut self.not_null,
            &mut self.filled,
            &mut self.generated,
            &mut self.valid,
            &mut self.blank,
        ]
    }

    fn unfilled(&self, columns: Columns) -> Columns {
        columns & self.exists & self.blank & !self.not_null
    }

    fn needs(&self, columns: Columns) -> Result<(), Refusal> {
        match places(columns & !self.exists).next() {
            Some(missing) => Err(Refusal::Missing(missing)),
            None => Ok(()),
        }
    }
}

fn set(part: &mut Columns, column: usize, on: bool) {
    if on {
        *part |= one(column);
    } else {
        *part &= !one(column);
    }
}
