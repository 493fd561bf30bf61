//! One try at one upstream: which member of the fleet, with which of its keys, and what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::catalog::Candidate;
use crate::core::secret::Secret;
use crate::metrics::Metrics;
use crate::upstream::{Member, health};

pub struct Attempt {
    pub candidate: Candidate,
    pub member: Arc<Member>,
    key_index: usize,
    /// `None` for an upstream that asks for no key.
    pub secret: Option<Secret>,
    breaker: Option<health::Attempt>,
    /// Whether the metrics know what became of it.
    counted: bool,
    /// Whether a connection from the pool had gone stale once already.
    pub stale_retried: bool,
    /// Whether another try had failed this request before.
    is_retry: bool,
}

/// Why a try failed; it decides what is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connecting, time-outs, 5xx, errors as a first event, cut streams: the upstream is ill.
    Ill(&'static str),
    /// 401, 402, 403, 429: this key is refused, for so long.
    KeyRefused { reason: &'static str, rest: Duration },
    /// Anything else that another upstream may do better (404, 408 of a single model, …).
    Other(&'static str),
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Ill(reason) | Fault::KeyRefused { reason, .. } | Fault::Other(reason) => reason,
        }
    }
}

impl Attempt {
    /// `None` if the member may not be called now: its breaker opened, or its last usable key went to rest, since the
    /// route was made; or this is a retry, and it has failed too many.
    pub fn begin(candidate: Candidate, member: Arc<Member>, is_retry: bool, now: Instant) -> Option<Attempt> {
        if is_retry && !member.retries.allows(now) {
            return None;
        }
        let pick = member.keys.pick(now)?;
        let (key_index, secret) = (pick.index, pick.secret.cloned());
        let breaker = member.breaker.begin(now)?;
        Some(Attempt {
            candidate,
            member,
            key_index,
            secret,
            breaker: Some(breaker),
            counted: false,
            stale_retried: false,
            is_retry,
        })
    }

    pub fn upstream_name(&self) -> &str {
        &self.candidate.upstream.name
    }

    /// It answered with this status.
    pub fn answered(&mut self, status: u16, metrics: &Metrics) {
        self.counted = true;
        metrics.upstream_requests.with_label_values(&[self.upstream_name(), &status.to_string()]).inc();
    }

    /// What is nobody else's business, wherever it may turn up.
    pub fn secrets(&self) -> Vec<Secret> {
        let upstream = &self.candidate.upstream;
        let headers = upstream.headers.iter().map(|(_, value)| value.clone());
        let host = Secret::new(upstream.base.host.as_str());
        self.secret.iter().cloned().chain(headers).chain([host]).collect()
    }

    /// The upstream is well: its answer has begun, or it judged the request.
    pub fn succeeded(&mut self, now: Instant) {
        if let Some(breaker) = self.breaker.take() {
            breaker.succeeded();
            self.member.retries.earn(now);
        }
    }

    pub fn failed(&mut self, fault: Fault, metrics: &Metrics, now: Instant) {
        if !self.counted {
            metrics.upstream_requests.with_label_values(&[self.upstream_name(), fault.reason()]).inc();
        }
        if let Fault::KeyRefused { rest, .. } = fault {
            self.member.keys.rest(self.key_index, now, rest);
        }
        // A stream that is cut late had been answered: that is no failed try.
        if self.is_retry && self.breaker.is_some() {
            self.member.retries.spend(now);
        }
        match (self.breaker.take(), fault) {
            (Some(breaker), Fault::Ill(_)) => breaker.failed(now),
            // It answered, so it is not ill.
            (Some(breaker), _) => breaker.succeeded(),
            // It had begun well: a stream that was cut in the middle.
            (None, Fault::Ill(_)) => self.member.breaker.failed_late(now),
            (None, _) => {}
        }
    }
}
