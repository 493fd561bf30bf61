//! Stage 8: what it cost. Exactly once per request.
//!
//! How a request ended decides what it costs (CONTRACT section 4 has the public table): reported usage where the
//! upstream reported, an estimate of what was sent and received where it did not, nothing where nothing came.

use std::fmt::Write as _;
use std::time::Instant;

use crate::core::bill::Bill;
use crate::core::money::{Markup, Nano, Pico};
use crate::core::price::Bound;
use crate::core::usage::{ImageKind, Usage};
use crate::ledger::CHARGE_PER_HOLD_MAX;
use crate::protocol::endpoint::{Endpoint, Measure};
use crate::protocol::stream;
use crate::store::contract::{Outcome, RequestRow};

use super::exchange::{End, Exchange};

/// Books the request's end. `None` when there is nothing to book: no known key, or refused before it was understood.
pub fn settle(exchange: &mut Exchange, end: &End, now: Instant) -> Option<RequestRow> {
    let outcome = outcome(exchange, end);
    let (usage, mut estimated) = match outcome {
        Outcome::Ok | Outcome::ClientGone | Outcome::UpstreamCut => usage_so_far(exchange),
        _ => (Usage::default(), false),
    };
    let bill = match outcome {
        Outcome::Ok if pictures_without_tokens(exchange, &usage) => {
            estimated = true;
            estimated_pictures(exchange, &usage)
        }
        Outcome::Ok if exchange.endpoint.is_some_and(Endpoint::is_free) => None,
        // A price per request is due for a whole answer even if it used no tokens.
        Outcome::Ok => exchange.bill(&usage),
        Outcome::ClientGone | Outcome::UpstreamCut if usage != Usage::default() => exchange.bill(&usage),
        _ => None,
    };
    let mut row = row(exchange, outcome, &usage, estimated, now)?;
    row.charge = bill.as_ref().map_or(Nano::ZERO, Bill::total);
    row.cost = bill.as_ref().map_or(Nano::ZERO, Bill::cost);
    if row.cost > row.charge {
        row.cost = row.cost.min(believable_cost(exchange));
    }
    if let Some(bill) = bill.filter(|_| row.charge > Nano::ZERO) {
        row.bill = String::with_capacity(BILL_BYTES_USUAL);
        // Nothing can fail that writes to a string.
        let _ = write!(row.bill, "{bill}");
    }
    if outcome == Outcome::Ok && !estimated {
        learn(exchange, &usage);
    }
    match exchange.reservation.take() {
        Some(reservation) => row.charge = reservation.hold.settle(row.clone()),
        None => exchange.pipeline.ledger.record_refused(row.clone()),
    }
    Some(row)
}

/// A charge is believed up to so many times its hold. Where a low markup makes both small, or nothing, the cost at list
/// price is believed up to so many times what the hold would be there.
fn believable_cost(exchange: &Exchange) -> Nano {
    let (Some(route), Some(reservation)) = (&exchange.route, &exchange.reservation) else { return Nano::ZERO };
    let ceiling = route.model.price.ceiling(&reservation.bound, exchange.started_at_ms, Markup::LIST_PRICE);
    Nano(ceiling.0.saturating_mul(CHARGE_PER_HOLD_MAX))
}

/// What was used up to now, and whether that is an estimate.
pub fn usage_so_far(exchange: &Exchange) -> (Usage, bool) {
    let Some(facts) = exchange.meter.as_ref().and_then(|meter| meter.facts()) else {
        return (Usage::default(), false);
    };
    let cut = matches!(exchange.end, Some(End::UpstreamCut | End::FundsExhausted(_) | End::ClientGone));
    let measure = exchange.endpoint.map_or(Measure::Tokens, Endpoint::measure);
    match measure {
        Measure::Nothing => return (Usage::default(), false),
        Measure::Tokens | Measure::Pictures => {}
        _ => return measured(exchange, measure, facts, cut),
    }
    match &facts.usage {
        Some(reported) => {
            let (mut usage, mut estimated) = (reported.clone(), false);
            if cut && !facts.done_seen && !facts.finish_seen {
                // A cumulative report lags behind what was delivered.
                let counted = estimated_output(exchange, facts).saturating_sub(usage.output_reasoning);
                estimated = counted > usage.output_text;
                usage.output_text = usage.output_text.max(counted);
            }
            name_images(exchange, &mut usage);
            (usage, estimated)
        }
        None if facts.content_begun || facts.text_bytes > 0 => {
            let usage = Usage {
                input_text: estimated_input(exchange),
                output_text: estimated_output(exchange, facts),
                web_searches: facts.web_searches,
                tier: facts.tier.unwrap_or_default(),
                ..Usage::default()
            };
            (usage, true)
        }
        None => (Usage::default(), false),
    }
}

/// The same for what may be sold by other measures than tokens: what the model's price names has to be there, reported
/// or estimated; what it does not name need not.
fn measured(exchange: &Exchange, measure: Measure, answer: &stream::Facts, cut: bool) -> (Usage, bool) {
    let (Some(asked), Some(route)) = (&exchange.facts, &exchange.route) else { return (Usage::default(), false) };
    if !answer.content_begun && answer.usage.is_none() {
        return (Usage::default(), false);
    }
    let price = &route.model.price;
    let mut estimated = cut;
    let mut usage = match &answer.usage {
        Some(reported) => reported.clone(),
        None if measure == Measure::Reported || !price.prices_tokens() => Usage::default(),
        None => {
            estimated = true;
            let spoken = asked.spoken_bytes.saturating_mul(SPEECH_TOKENS).div_ceil(SPEECH_TOKENS_BYTES);
            Usage {
                input_text: estimated_input(exchange),
                output_text: estimated_output(exchange, answer),
                output_audio: spoken,
                ..Usage::default()
            }
        }
    };
    let mut reported_or = |reported: Option<u64>, counted: u64| {
        estimated |= reported.is_none();
        reported.unwrap_or(counted)
    };
    match measure {
        Measure::Characters => usage.characters = asked.characters,
        Measure::AudioTime if price.unit.per_audio_second > Pico(0) => {
            usage.audio_ms = reported_or(answer.audio_ms, asked.audio_ms);
        }
        Measure::SearchUnits if price.unit.per_search_unit > Pico(0) => {
            usage.search_units = reported_or(answer.search_units, asked.search_units);
        }
        _ => {}
    }
    (usage, estimated)
}

fn outcome(exchange: &Exchange, end: &End) -> Outcome {
    let content_begun =
        exchange.meter.as_ref().and_then(|meter| meter.facts()).is_some_and(|facts| facts.content_begun);
    match end {
        End::Answered => Outcome::Ok,
        End::ClientGone => Outcome::ClientGone,
        End::UpstreamCut if content_begun => Outcome::UpstreamCut,
        End::UpstreamCut | End::UpstreamFailed(_) => Outcome::UpstreamFailed,
        End::Rejected(_) => Outcome::Rejected,
        End::Refused(_) => Outcome::Refused,
        // We ended it ourselves, for the same price: what was delivered.
        End::FundsExhausted(_) => Outcome::UpstreamCut,
    }
}

/// Input as estimated from its bytes, by what this model's upstreams reported before; media as in the hold.
fn estimated_input(exchange: &Exchange) -> u64 {
    let (Some(route), Some(facts)) = (&exchange.route, &exchange.facts) else { return 0 };
    route.calibration.input_tokens(facts.text_bytes).saturating_add(facts.other_tokens).min(facts.input_tokens)
}

fn estimated_output(exchange: &Exchange, facts: &stream::Facts) -> u64 {
    let Some(route) = &exchange.route else { return 0 };
    route.calibration.output_tokens(facts.text_bytes)
}

/// Pictures of a model that bills them by tokens, in an answer that reports none: they must not be free.
fn pictures_without_tokens(exchange: &Exchange, usage: &Usage) -> bool {
    let by_tokens = exchange.route.as_ref().is_some_and(|route| !route.model.price.prices_pictures());
    by_tokens && usage.images > 0 && usage.output_total() == 0
}

fn estimated_pictures(exchange: &Exchange, usage: &Usage) -> Option<Bill> {
    let (route, caller) = (exchange.route.as_ref()?, exchange.caller.as_ref()?);
    let bound = Bound {
        input_tokens: estimated_input(exchange),
        images: usage.images,
        image_kind: usage.image_kind.clone(),
        ..Bound::default()
    };
    Some(route.model.price.ceiling_bill(&bound, exchange.started_at_ms, caller.group.markup))
}

/// Where an answer does not say what its pictures look like, the request does.
fn name_images(exchange: &Exchange, usage: &mut Usage) {
    let Some(facts) = exchange.facts.as_ref().filter(|_| usage.images > 0) else { return };
    let ImageKind { quality, size } = &mut usage.image_kind;
    if quality.is_empty() {
        quality.clone_from(&facts.image_kind.quality);
    }
    if size.is_empty() {
        size.clone_from(&facts.image_kind.size);
    }
}

fn learn(exchange: &Exchange, usage: &Usage) {
    let (Some(route), Some(facts), Some(meter)) = (&exchange.route, &exchange.facts, &exchange.meter) else { return };
    if facts.other_tokens == 0 && facts.unseen_input.is_none() && facts.web_searches == 0 {
        route.calibration.observe_input(facts.text_bytes, usage.input_total());
    }
    if let Some(answer) = meter.facts().filter(|_| usage.output_reasoning == 0) {
        route.calibration.observe_output(answer.text_bytes, usage.output_total());
    }
}

fn row(exchange: &Exchange, outcome: Outcome, usage: &Usage, estimated: bool, now: Instant) -> Option<RequestRow> {
    let (caller, endpoint) = (exchange.caller.as_ref()?, exchange.endpoint?);
    // Refused before the body was understood: metrics count it, the books need not know.
    let model = exchange.route.as_ref().map(|route| &route.model)?;
    let since_start =
        |at: Instant| u32::try_from(at.saturating_duration_since(exchange.started).as_millis()).unwrap_or(u32::MAX);
    let anomalous = exchange.meter.as_ref().and_then(|meter| meter.facts()).is_some_and(|facts| facts.anomalous);
    Some(RequestRow {
        request: exchange.request,
        account: caller.record.account,
        key: caller.record.id,
        endpoint: endpoint.label().into(),
        model: model.name.clone(),
        upstream: exchange.attempt.as_ref().map(|attempt| attempt.upstream_name().to_owned()).unwrap_or_default(),
        status: exchange.status,
        outcome,
        estimated,
        anomalous,
        streamed: exchange.facts.as_ref().is_some_and(|facts| facts.stream),
        input_tokens: usage.input_total(),
        cached_input_tokens: usage.input_cached_total(),
        output_tokens: usage.output_total(),
        reasoning_tokens: usage.output_reasoning,
        charge: Nano::ZERO,
        cost: Nano::ZERO,
        price_version: model.price.version.clone(),
        bill: String::new(),
        started_at_ms: exchange.started_at_ms,
        ttft_ms: exchange.meter.as_ref().and_then(|meter| meter.first_content_at).map(since_start),
        duration_ms: since_start(now),
    })
}

/// Input, cached input and output, each with its price.
const BILL_BYTES_USUAL: usize = 96;
/// Three tokens for two bytes: about 14 bytes of text are spoken in a second, in English as in Chinese, and a second of
/// generated speech is 20 tokens (OpenAI).
const SPEECH_TOKENS: u64 = 3;
const SPEECH_TOKENS_BYTES: u64 = 2;
