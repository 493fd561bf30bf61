//! A whole answer: one JSON body, read while it passes.
//!
//! A body may be 60 MB of pictures, and its usage may stand behind them; so it is scanned, not kept.
//!
//! Always true: memory is bounded, whatever the body's size; and what comes out does not depend on how it was cut.

use super::endpoint::Endpoint;
use super::facts::{Facts, Reading};
use super::place::Place;
use super::scan::Scan;

#[derive(Debug)]
pub struct WholeReader {
    scan: Scan,
    reading: Reading,
}

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One complete JSON object.
    Whole,
    /// Cut, or not JSON (HTML, say), or empty.
    Broken,
    /// An object with an `error` that is not null.
    Error,
}

impl WholeReader {
    pub fn new(endpoint: Endpoint) -> Self {
        WholeReader { scan: Scan::new(Place::root(endpoint, false)), reading: Reading::new(endpoint) }
    }

    /// Takes the next bytes of the body. Of the facts, text and the end of choices grow here; the rest is known at the
    /// end.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.scan.push(chunk);
        let (found, facts) = (self.scan.found(), &mut self.reading.facts);
        facts.text_bytes = found.text_bytes;
        facts.content_begun = found.text_bytes > 0 || found.call || found.finish;
        facts.finish_seen = found.finish;
    }

    /// The body's end.
    pub fn finish(&mut self) -> Verdict {
        let found = self.scan.found();
        if !self.scan.is_whole_object() {
            return Verdict::Broken;
        }
        self.reading.facts = Facts::default();
        if found.error {
            self.reading.fail(found);
            return Verdict::Error;
        }
        self.reading.absorb(found);
        self.reading.facts.content_begun = true;
        Verdict::Whole
    }

    pub fn facts(&self) -> &Facts {
        &self.reading.facts
    }
}

#[cfg(test)]
mod tests;
