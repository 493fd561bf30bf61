//! Stage 9: one wide log line per request, and the metrics. Never a body, never a secret.

use std::time::Instant;

use crate::core::api_error::ApiError;
use crate::store::contract::{Outcome, RequestRow};

use super::exchange::{End, Exchange};

pub fn record(exchange: &Exchange, end: &End, settled: Option<&RequestRow>, now: Instant) {
    let metrics = &exchange.pipeline.metrics;
    let endpoint = exchange.endpoint.map_or("other", |endpoint| endpoint.label());
    // Only configured names become labels: what a client writes must not.
    let model = exchange.route.as_ref().map_or("", |route| route.model.name.as_str());
    let duration = now.saturating_duration_since(exchange.started);
    metrics.requests.with_label_values(&[endpoint, model, &exchange.status.to_string()]).inc();
    metrics.request_duration.with_label_values(&[endpoint]).observe(duration.as_secs_f64());
    if let End::Refused(error) = end {
        metrics.refusals.with_label_values(&[error.code()]).inc();
    }
    if let Some(row) = settled {
        charge_metrics(exchange, row);
    }
    stream_metrics(exchange, model);
    log_line(exchange, endpoint, end.error(), settled, duration.as_millis());
}

fn charge_metrics(exchange: &Exchange, row: &RequestRow) {
    let metrics = &exchange.pipeline.metrics;
    let model = row.model.as_str();
    let kinds = [
        ("input", row.input_tokens.saturating_sub(row.cached_input_tokens)),
        ("cached_input", row.cached_input_tokens),
        ("output", row.output_tokens.saturating_sub(row.reasoning_tokens)),
        ("reasoning", row.reasoning_tokens),
    ];
    for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
        metrics.tokens.with_label_values(&[model, kind]).inc_by(count);
    }
    if row.charge.0 > 0 {
        metrics.charged.with_label_values(&[model]).inc_by(row.charge.to_units_f64());
    }
    if row.estimated {
        let reason = if row.outcome == Outcome::Ok { "usage_missing" } else { row.outcome.as_str() };
        metrics.estimated_charges.with_label_values(&[reason]).inc();
    }
}

fn stream_metrics(exchange: &Exchange, model: &str) {
    let (Some(meter), Some(attempt)) = (&exchange.meter, &exchange.attempt) else { return };
    let Some(first) = meter.first_content_at else { return };
    let labels = [model, attempt.upstream_name()];
    let metrics = &exchange.pipeline.metrics;
    let waited = first.saturating_duration_since(exchange.started);
    metrics.time_to_first_token.with_label_values(&labels).observe(waited.as_secs_f64());
    if let Some(last) = meter.last_piece_at.filter(|_| meter.is_stream() && meter.pieces > 2) {
        let mean = last.saturating_duration_since(first).as_secs_f64() / f64::from(meter.pieces - 1);
        metrics.inter_token.with_label_values(&labels).observe(mean);
    }
}

fn log_line(
    exchange: &Exchange,
    endpoint: &str,
    error: Option<&ApiError>,
    settled: Option<&RequestRow>,
    duration_ms: u128,
) {
    if !tracing::enabled!(target: "tollgate::request", tracing::Level::INFO) {
        return;
    }
    let caller = exchange.caller.as_ref();
    let row = settled;
    tracing::info!(
        target: "tollgate::request",
        request_id = %exchange.request,
        endpoint,
        status = exchange.status,
        code = error.map(ApiError::code),
        outcome = row.map(|row| row.outcome.as_str()),
        account = caller.map(|caller| caller.key.account.name().to_string()),
        key_id = caller.map(|caller| caller.record.public_id.as_str()),
        model = row.map(|row| row.model.as_str()),
        upstream = row.map(|row| row.upstream.as_str()),
        streamed = row.map(|row| row.streamed),
        input_tokens = row.map(|row| row.input_tokens),
        output_tokens = row.map(|row| row.output_tokens),
        charge = row.map(|row| row.charge.to_string()),
        estimated = row.map(|row| row.estimated),
        ttft_ms = row.and_then(|row| row.ttft_ms),
        duration_ms = u64::try_from(duration_ms).unwrap_or(u64::MAX),
        "request"
    );
}
