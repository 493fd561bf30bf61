//! What Prometheus reads.

use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;

use crate::pipeline::Pipeline;
use crate::upstream::health::BreakerState;

/// `/metrics`, and nothing else.
pub(super) async fn serve(listener: TcpListener, pipeline: Arc<Pipeline>) {
    let scrape = move || {
        let pipeline = pipeline.clone();
        async move {
            sample(&pipeline);
            ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], pipeline.metrics.render())
        }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(scrape));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the metrics listener ended");
    }
}

/// Numbers that are read when somebody asks.
fn sample(pipeline: &Pipeline) {
    let (metrics, stats) = (&pipeline.metrics, pipeline.ledger.stats());
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.holds_open.set(gauge(stats.holds_open));
    metrics.ledger_queue.set(gauge(stats.queue_entries));
    metrics.charges_beyond_hold.inc_by(stats.charges_beyond_hold.saturating_sub(metrics.charges_beyond_hold.get()));
    metrics.body_memory.set(pipeline.body_memory.used() as f64);
    let now = Instant::now();
    for member in pipeline.snapshot().fleet.members() {
        metrics.show_upstream(&member.upstream.name, member.breaker.state(now) != BreakerState::Open);
    }
}
