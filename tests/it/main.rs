//! The whole gateway from outside: the real program between a client that can misbehave and upstreams that do as they
//! are told. One binary for all of it, because linking is what tests spend their time on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "tools are there before they are needed")]
mod support;

// How the sources hang together.
mod architecture;
// Clients in trouble, or up to it.
mod clients;
// What browsers load.
mod console_assets;
// The command line.
mod cli;
// Who may call which route of the console.
mod console_access;
// The public pages.
mod console_pages;
// Signing in and out, people and their links.
mod console_door;
// The console's listener, its pages and what stands around every answer.
mod console_listener;
// Models tried out through the console.
mod console_playground;
// The admin API: accounts, money and codes.
mod console_money;
// The admin API: keys.
mod console_keys;
// The admin API: lists, totals, requests, prices.
mod console_reading;
// The admin API: upstreams, configuration, health.
mod console_operations;
// A disk without room.
mod disk;
// Three dialects of chat.
mod dialects;
// How a request ended, and what it costs therefore.
mod endings;
// The edge's own TLS.
mod edge_tls;
// Sound, rankings, moderations, forms.
mod endpoints;
// Every refusal that a client can hear.
mod errors;
// One upstream fails, the next one answers.
mod failover;
// Heads, bodies and connections.
mod http;
// Requests and tokens per minute, running requests, addresses.
mod limits;
// Charges, balances and what cannot be overdrawn.
mod money;
// What Prometheus scrapes.
mod metrics;
// A configuration that changes under way.
mod reload;
// What must never be shown.
mod secrets;
// A storage that cannot write, or is not ours.
mod storage;
// Streamed answers.
mod streams;
// One process takes the place of another.
mod upgrade;
// Upstreams in trouble: what strangers send.
mod upstreams;
// The straight way: key, request, answer, charge.
mod walk;
