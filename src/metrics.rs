//! Every Prometheus name and label, once.
//!
//! Labels are few and bounded: configured model and upstream names, endpoints, statuses, codes. Never a key, an account,
//! a request or anything a client wrote. Units are seconds and bytes, as Prometheus wants them.

use prometheus::{
    CounterVec, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub struct Metrics {
    registry: Registry,
    pub requests: IntCounterVec,
    pub refusals: IntCounterVec,
    pub request_duration: HistogramVec,
    pub time_to_first_token: HistogramVec,
    pub inter_token: HistogramVec,
    pub overhead: Histogram,
    pub tokens: IntCounterVec,
    pub charged: CounterVec,
    pub in_flight: IntGauge,
    pub upstream_requests: IntCounterVec,
    pub upstream_up: IntGaugeVec,
    pub upstream_failovers: IntCounterVec,
    pub holds_open: IntGauge,
    pub ledger_commit: Histogram,
    pub ledger_queue: IntGauge,
    pub charges_beyond_hold: IntCounter,
    pub estimated_charges: IntCounterVec,
    pub config_reloads: IntCounterVec,
    pub body_memory: Gauge,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics have one name, which a test would have shown.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        let build =
            IntGaugeVec::new(Opts::new("tollgate_build_info", "Version of this program; always 1."), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);

        let make = Maker(&registry);
        let metrics = Metrics {
            requests: make.counters(
                "tollgate_requests_total",
                "Requests to the edge, answered or refused.",
                &["endpoint", "model", "status"],
            )?,
            refusals: make.counters(
                "tollgate_refusals_total",
                "Requests that we refused ourselves, by code.",
                &["code"],
            )?,
            request_duration: make.histograms(
                "tollgate_request_duration_seconds",
                "From a request's head to its last byte.",
                &["endpoint"],
                DURATION_S,
            )?,
            time_to_first_token: make.histograms(
                "tollgate_time_to_first_token_seconds",
                "From a request's head to the first byte of content for the client.",
                &["model", "upstream"],
                FIRST_TOKEN_S,
            )?,
            inter_token: make.histograms(
                "tollgate_inter_token_seconds",
                "Mean time between the pieces of one streamed answer.",
                &["model", "upstream"],
                INTER_TOKEN_S,
            )?,
            overhead: make.histogram(
                "tollgate_overhead_seconds",
                "Our own share of a request: from its whole body until the upstream is called.",
                OVERHEAD_S,
            )?,
            tokens: make.counters(
                "tollgate_tokens_total",
                "Tokens charged, by kind: input, cached_input, output, reasoning.",
                &["model", "kind"],
            )?,
            charged: {
                let charged = CounterVec::new(
                    Opts::new("tollgate_charged_total", "Money charged, in currency units."),
                    &["model"],
                )?;
                registry.register(Box::new(charged.clone()))?;
                charged
            },
            in_flight: make.gauge("tollgate_requests_in_flight", "Requests running now.")?,
            upstream_requests: make.counters(
                "tollgate_upstream_requests_total",
                "Tries at an upstream, by the status it answered, or why there was none.",
                &["upstream", "status"],
            )?,
            upstream_up: make.gauges(
                "tollgate_upstream_up",
                "0 while the upstream's breaker is open.",
                &["upstream"],
            )?,
            upstream_failovers: make.counters(
                "tollgate_upstream_failovers_total",
                "Tries that failed and were handed to the next upstream.",
                &["upstream", "reason"],
            )?,
            holds_open: make.gauge("tollgate_holds_open", "Requests with money set aside.")?,
            ledger_commit: make.histogram(
                "tollgate_ledger_commit_seconds",
                "Time of one group commit to the storage.",
                COMMIT_S,
            )?,
            ledger_queue: make.gauge("tollgate_ledger_queue_entries", "Changes waiting for their commit.")?,
            charges_beyond_hold: {
                let counter = IntCounter::new(
                    "tollgate_charges_beyond_hold_total",
                    "Charges above what was set aside for them.",
                )?;
                registry.register(Box::new(counter.clone()))?;
                counter
            },
            estimated_charges: make.counters(
                "tollgate_estimated_charges_total",
                "Charges by estimate, because the upstream reported no usage, by outcome.",
                &["reason"],
            )?,
            config_reloads: make.counters(
                "tollgate_config_reloads_total",
                "Reloads of the configuration: ok, or rejected.",
                &["result"],
            )?,
            body_memory: {
                let gauge = Gauge::new("tollgate_body_memory_bytes", "Request bodies being held.")?;
                registry.register(Box::new(gauge.clone()))?;
                gauge
            },
            registry,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Shows what has not happened yet: an alert on a rate needs a value from before the first time.
    fn begin_at_zero(&self) {
        for code in REFUSAL_CODES {
            self.refusals.with_label_values(&[code]);
        }
        for reason in ["usage_missing", "client_gone", "upstream_cut"] {
            self.estimated_charges.with_label_values(&[reason]);
        }
        for result in ["ok", "rejected"] {
            self.config_reloads.with_label_values(&[result]);
        }
    }

    /// The same for one upstream, and the usual reasons to turn away from it.
    pub fn show_upstream(&self, upstream: &str, up: bool) {
        self.upstream_up.with_label_values(&[upstream]).set(i64::from(up));
        for reason in ["connect", "timeout", "5xx", "429"] {
            self.upstream_failovers.with_label_values(&[upstream, reason]);
        }
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        text
    }
}

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let histograms = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}

/// Why requests are commonly refused; others show up when they happen first.
const REFUSAL_CODES: [&str; 8] = [
    "invalid_api_key",
    "key_expired",
    "key_disabled",
    "insufficient_balance",
    "rate_limit",
    "model_not_found",
    "invalid_request",
    "server_error",
];

// Buckets follow the OpenTelemetry conventions for generative AI, with longer tails for reasoning models.
const DURATION_S: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36];
const FIRST_TOKEN_S: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const INTER_TOKEN_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const OVERHEAD_S: &[f64] = &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05];
const COMMIT_S: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
