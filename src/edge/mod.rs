//! Pingora, and nothing but: the rim where sockets become requests.
//!
//! - [`listener`] accepts, [`guard`] is the strict front door before Pingora's lenient one, [`cork`] makes one packet of
//!   what is written in parts.
//! - [`proxy`] is the `ProxyHttp`: each filter a few lines that call a stage of the pipeline.
//! - [`body`] reads a request's body once; [`relay`] takes it to one upstream after the other, and brings the answer back:
//!   over a connection of [`pool`], in the words of [`wire`], under the eyes of [`watch`].
//! - [`head`], [`request_head`], [`upstream_head`], [`peer`], [`answer`] translate heads, upstreams and our own answers.

mod answer;
mod body;
mod cork;
mod guard;
pub mod guard_chunks;
pub mod guard_rules;
mod head;
pub mod listener;
mod peer;
mod pool;
mod proxy;
mod reception;
mod relay;
mod request_head;
mod upstream_head;
mod watch;
mod wire;
