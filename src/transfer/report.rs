//! What became of the items of a folder or prefix, in contract order.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};

/// What became of one item.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Not begun.
    NotBegun,
    /// Under way.
    Begun,
    /// Whole and verified.
    Done,
    /// Failed, or cancelled while under way.
    Failed(Error),
}

/// What a transfer did. Every item of the plan is in exactly one of the three lists.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Names of what is whole and verified, in contract order.
    pub done: Vec<Arc<str>>,
    /// Names of what failed or was cancelled, with the reasons, in contract order.
    pub failed: Vec<(Arc<str>, Error)>,
    /// Names of what was not begun, in contract order.
    pub not_begun: Vec<Arc<str>>,
    /// Bytes of what is done.
    pub bytes: u64,
}

/// The items of a transfer while it runs.
#[derive(Debug, Default)]
pub struct Ledger {
    items: Vec<(Arc<str>, Outcome)>,
    bytes: u64,
}

impl Ledger {
    /// Adds an item to the plan; returns its index.
    pub fn plan(&mut self, name: Arc<str>) -> usize {
        self.items.push((name, Outcome::NotBegun));
        self.items.len() - 1
    }

    /// The item is under way.
    pub fn begin(&mut self, index: usize) {
        self.set(index, Outcome::Begun);
    }

    /// The item has ended.
    pub fn end(&mut self, index: usize, result: Result<u64>) {
        match result {
            Ok(bytes) => {
                self.bytes += bytes;
                self.set(index, Outcome::Done);
            }
            Err(error) => self.set(index, Outcome::Failed(error)),
        }
    }

    fn set(&mut self, index: usize, outcome: Outcome) {
        if let Some(item) = self.items.get_mut(index) {
            item.1 = outcome;
        }
    }

    /// The report, and the error that is earliest in contract order; one that is no mere cancellation before all.
    pub fn close(self) -> (Report, Option<Error>) {
        let planned = self.items.len();
        let mut report = Report { bytes: self.bytes, ..Report::default() };
        for (name, outcome) in self.items {
            match outcome {
                Outcome::Done => report.done.push(name),
                Outcome::NotBegun => report.not_begun.push(name),
                Outcome::Failed(error) => report.failed.push((name, error)),
                Outcome::Begun => {
                    let lost = Error::new(Kind::Internal, "a file was begun and its end is not known");
                    report.failed.push((name, lost));
                }
            }
        }
        debug_assert_eq!(planned, report.done.len() + report.failed.len() + report.not_begun.len());
        let real = report.failed.iter().find(|(_, error)| !error.is_cancelled());
        let first = real.or(report.failed.first()).map(|(_, error)| error.clone());
        (report, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_list_and_the_first_real_error_speaks() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "c", "d", "e"] {
            ledger.plan(name.into());
        }
        (0..4).for_each(|index| ledger.begin(index));
        ledger.end(3, Err(Error::new(Kind::Connect, "late")));
        ledger.end(0, Ok(5));
        ledger.end(1, Err(Error::new(Kind::Cancelled, "stopped")));
        ledger.end(2, Err(Error::new(Kind::Connect, "early")));
        let (report, error) = ledger.close();
        assert_eq!(report.done, ["a".into()] as [Arc<str>; 1]);
        assert_eq!(report.failed.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(report.not_begun, ["e".into()] as [Arc<str>; 1]);
        assert_eq!((report.bytes, error.unwrap().message()), (5, "early"));
    }
}
