//! What one Command, or a lane's turn of them, wants to change.

use plexus_core::row::Row;
use plexus_storage::db::{Statement, Value};

/// Rows for the log and the statements that make them true. Statements name the rows' sequences with [`Value::SequenceOf`]; the sequencer fills them in.
#[derive(Debug, Default)]
pub(crate) struct ChangeSet {
    pub(crate) rows: Vec<Row>,
    pub(crate) statements: Vec<Statement>,
    /// Whether it adds to `tasks`.
    pub(crate) asks_for_tasks: bool,
}

impl ChangeSet {
    /// The value that stands for the sequence of the row that is pushed next.
    pub(crate) fn next_sequence(&self) -> Value {
        Value::SequenceOf(self.rows.len())
    }

    /// Adds another change set behind this one.
    pub(crate) fn append(&mut self, mut other: Self) {
        let offset = self.rows.len();
        renumber(&mut other.statements, |row| Value::SequenceOf(row + offset));
        self.asks_for_tasks |= other.asks_for_tasks;
        self.rows.append(&mut other.rows);
        self.statements.append(&mut other.statements);
    }
}

/// Replaces every [`Value::SequenceOf`] by what `number` makes of its row.
pub(crate) fn renumber(statements: &mut [Statement], number: impl Fn(usize) -> Value) {
    let params = statements.iter_mut().flat_map(|statement| &mut statement.params);
    for param in params {
        if let Value::SequenceOf(row) = param {
            *param = number(*row);
        }
    }
}
