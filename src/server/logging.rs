//! Where log lines go.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Lines go through a thread of their own: a slow terminal or disk must not hold up a request.
pub(super) fn start(config: &Config) -> WorkerGuard {
    // Buffered: a burst of lines is one write; the thread flushes when it has caught up.
    let output = std::io::BufWriter::new(std::io::stderr());
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES_MAX).finish(output);
    let level = config.logging.level.as_str();
    // The libraries below have nothing to say to an operator unless something is wrong.
    let filter = EnvFilter::new(format!("warn,tollgate={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match config.logging.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
    };
    if let Err(error) = started {
        eprintln!("logging could not be started: {error}");
    }
    guard
}

/// Beyond it, lines are left out rather than requests held up. The queue's memory is taken at the start.
const LOG_LINES_MAX: usize = 16_384;
