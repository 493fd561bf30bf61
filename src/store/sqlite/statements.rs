//! The statements of one group of changes: looked up once, and for many rows at a time.
//!
//! A look-up by a statement's text, which is long, costs as much as the row that it finds; and half of an insert's cost is
//! the statement's own, its start, its cursors and its end, whether it adds one row or many.

use rusqlite::{CachedStatement, Params, ToSql, Transaction};

use super::connection::fault;
use crate::store::contract::StoreError;

pub(super) struct Statements<'a> {
    transaction: &'a Transaction<'a>,
    ready: Vec<(&'static str, CachedStatement<'a>)>,
}

impl<'a> Statements<'a> {
    pub(super) fn of(transaction: &'a Transaction<'a>) -> Self {
        Statements { transaction, ready: Vec::new() }
    }

    pub(super) fn get(&mut self, sql: &'static str) -> Result<&mut CachedStatement<'a>, StoreError> {
        // The same text is at the same place; were it not, it would be compiled once more and do the same.
        let at = match self.ready.iter().position(|(known, _)| std::ptr::eq(*known, sql)) {
            Some(at) => at,
            None => {
                self.ready.push((sql, self.transaction.prepare_cached(sql).map_err(fault)?));
                self.ready.len() - 1
            }
        };
        Ok(&mut self.ready[at].1)
    }

    pub(super) fn execute(&mut self, sql: &'static str, parameters: impl Params) -> Result<usize, StoreError> {
        self.get(sql)?.execute(parameters).map_err(fault)
    }

    /// Does it for all rows; `put` gives the values of each. Returns how many were added or removed.
    pub(super) fn execute_many<R>(
        &mut self,
        many: &'static Many,
        mut rows: impl ExactSizeIterator<Item = R>,
        put: impl Fn(R, &mut Values<'_, 'a>) -> rusqlite::Result<()>,
    ) -> Result<usize, StoreError> {
        let mut changed = 0;
        while rows.len() > 0 {
            let (count, sql) = many.of_at_most(rows.len());
            let statement = self.get(sql)?;
            let mut values = Values { statement, next: 1 };
            for row in rows.by_ref().take(count) {
                put(row, &mut values).map_err(fault)?;
            }
            changed += values.statement.raw_execute().map_err(fault)?;
        }
        Ok(changed)
    }
}

/// Where the values of a statement's rows go, one after the other.
pub(super) struct Values<'s, 'a> {
    statement: &'s mut CachedStatement<'a>,
    next: usize,
}

impl Values<'_, '_> {
    pub(super) fn put(&mut self, row: &[&dyn ToSql]) -> rusqlite::Result<()> {
        for value in row {
            self.statement.raw_bind_parameter(self.next, value)?;
            self.next += 1;
        }
        Ok(())
    }
}

/// One thing to do to rows, as statements for so many of them each, the most first; the last is for one.
pub(super) struct Many([(usize, String); 4]);

impl Many {
    /// From what stands before the rows, for each, and behind.
    pub(super) fn new(before: &str, row: &str, behind: &str) -> Self {
        Many([64, 16, 4, 1].map(|rows| (rows, format!("{before} {} {behind}", vec![row; rows].join(", ")))))
    }

    fn of_at_most(&self, rows: usize) -> (usize, &str) {
        let (count, sql) = self.0.iter().find(|(count, _)| *count <= rows).unwrap_or(&self.0[3]);
        (*count, sql)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rusqlite::{Connection, params};

    use super::*;

    static ADD: LazyLock<Many> =
        LazyLock::new(|| Many::new("INSERT INTO t (a, b) VALUES", "(?, ?)", "ON CONFLICT (a) DO NOTHING"));

    #[test]
    fn every_number_of_rows_is_inserted_in_order_and_counted() {
        for rows in (0..90).chain([149, 150]) {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE t (nth INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT)").unwrap();
            let transaction = connection.transaction().unwrap();
            let mut statements = Statements::of(&transaction);
            let mut add = |numbers: std::ops::Range<i64>| {
                let numbers: Vec<i64> = numbers.collect();
                statements
                    .execute_many(&ADD, numbers.iter(), |a, values| values.put(params![a, a.to_string()]))
                    .unwrap()
            };
            assert_eq!(add(0..rows) as i64, rows);
            assert_eq!(add(0..rows + 1), 1, "those that are there are not counted");
            let kept = "SELECT count(*) FROM t WHERE nth = a + 1 AND b = CAST(a AS TEXT)";
            assert_eq!(transaction.query_row(kept, [], |row| row.get::<_, i64>(0)).unwrap(), rows + 1);
        }
    }
}
