//! Pingora, and nothing but: the rim where sockets become requests.
//!
//! - [`listener`] accepts, [`guard`] is the strict front door before Pingora's lenient one.
//! - [`proxy`] is the `ProxyHttp`: each filter a few lines that call a stage of the pipeline.
//! - [`body`] reads a request's body once; [`replay`] plays it to each upstream, and holds an answer's head back.
//! - [`head`], [`peer`], [`answer`] translate heads, upstreams and our own answers.

pub mod answer;
pub mod body;
pub mod guard;
pub mod guard_rules;
pub mod head;
pub mod listener;
pub mod peer;
pub mod proxy;
pub mod replay;
