//! Pingora, and nothing but: the rim where sockets become requests.
//!
//! - [`listener`] accepts, [`guard`] is the strict front door before Pingora's lenient one.
//! - [`proxy`] is the `ProxyHttp`: each filter a few lines that call a stage of the pipeline.
//! - [`body`] reads a request's body once; [`replay`] plays it to each upstream, and holds an answer's head back.
//! - [`head`], [`peer`], [`answer`] translate heads, upstreams and our own answers.

mod answer;
mod body;
mod guard;
pub mod guard_chunks;
pub mod guard_rules;
mod head;
pub mod listener;
mod peer;
mod proxy;
mod reception;
mod replay;
mod upstream_head;
