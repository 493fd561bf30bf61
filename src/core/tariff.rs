//! Prices as people read them: decimal strings, with what their group pays.
//!
//! For display only; a charge is computed from the exact parts and rounded once ([`super::price`]).

use std::collections::BTreeMap;

use serde::Serialize;

use super::money::{Markup, Pico};
use super::price::{MinuteWindow, Price, Rate};
use super::usage::Tier;

/// What a model costs at one markup. Token prices are per million tokens, the others per piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Tariff {
    pub currency: String,
    /// The row that applies is the one with the request's tier and the largest threshold that its prompt exceeds.
    pub rates: Vec<TariffRate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off_peak: Vec<TariffWindow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_audio_second: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_million_characters: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_search_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_page: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_web_search: Option<String>,
    /// Price of one picture by `quality/size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// One row. A price that is left out is that of `input` or `output`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TariffRate {
    pub tier: Tier,
    pub above_prompt_tokens: u64,
    pub off_peak: bool,
    pub input: String,
    pub cached_input: String,
    pub output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_12h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_audio_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_image_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_output: Option<String>,
}

/// When `off_peak` rows apply: from and to are UTC times of day such as `16:30`; days are those on which it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TariffWindow {
    pub days: Vec<&'static str>,
    pub from: String,
    pub to: String,
}

impl Tariff {
    pub fn new(price: &Price, markup: Markup, currency: &str) -> Self {
        let unit = |pico: Pico| pico.times(markup).display_per_unit();
        let paid = |pico: Pico| (pico.0 > 0).then(|| unit(pico));
        Tariff {
            currency: currency.to_owned(),
            rates: price.rates.iter().map(|rate| TariffRate::new(rate, markup)).collect(),
            off_peak: price.off_peak.iter().map(TariffWindow::new).collect(),
            per_request: paid(price.unit.per_request),
            per_image: price.unit.per_image.map(unit),
            per_audio_second: paid(price.unit.per_audio_second),
            per_million_characters: paid(price.unit.per_million_characters),
            per_search_unit: paid(price.unit.per_search_unit),
            per_page: paid(price.unit.per_page),
            per_web_search: paid(price.unit.per_web_search),
            images: price.images.iter().map(|(kind, pico)| (kind.clone(), unit(*pico))).collect(),
        }
    }
}

impl TariffRate {
    fn new(rate: &Rate, markup: Markup) -> Self {
        let token = |pico: Pico| pico.times(markup).display_per_million();
        TariffRate {
            tier: rate.tier,
            above_prompt_tokens: rate.above_prompt_tokens,
            off_peak: rate.off_peak,
            input: token(rate.input),
            cached_input: token(rate.cached_input.unwrap_or(rate.input)),
            output: token(rate.output),
            cache_write: rate.cache_write.map(token),
            cache_write_1h: rate.cache_write_1h.map(token),
            cache_write_12h: rate.cache_write_12h.map(token),
            audio_input: rate.audio_input.map(token),
            cached_audio_input: rate.cached_audio_input.map(token),
            image_input: rate.image_input.map(token),
            cached_image_input: rate.cached_image_input.map(token),
            video_input: rate.video_input.map(token),
            reasoning: rate.reasoning.map(token),
            audio_output: rate.audio_output.map(token),
            image_output: rate.image_output.map(token),
        }
    }
}

impl TariffWindow {
    fn new(window: &MinuteWindow) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let begins = |(day, _): &(usize, &&str)| window.weekdays >> day & 1 == 1;
        TariffWindow {
            days: DAYS.iter().enumerate().filter(begins).map(|(_, name)| *name).collect(),
            from: time(window.from),
            to: time(window.to),
        }
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_what_the_group_pays() {
        let rate = Rate { input: Pico(150_000), output: Pico(600_000), ..Rate::default() };
        let long = Rate { above_prompt_tokens: 200_000, cache_write: Some(Pico(1)), ..rate.clone() };
        let mut price = Price { rates: vec![rate, long], ..Price::default() };
        price.images.insert("standard/1024x1024".into(), Pico(40_000_000_000));
        price.off_peak.push(MinuteWindow { weekdays: 0b100_0001, from: 990, to: 30 });
        let tariff = json!(Tariff::new(&price, Markup::parse("1.2").unwrap(), "USD"));
        assert_eq!(
            tariff,
            json!({"currency": "USD", "rates": [
                {"tier": "standard", "above_prompt_tokens": 0, "off_peak": false,
                 "input": "0.18", "cached_input": "0.18", "output": "0.72"},
                {"tier": "standard", "above_prompt_tokens": 200_000, "off_peak": false,
                 "input": "0.18", "cached_input": "0.18", "output": "0.72", "cache_write": "0.000002"},
            ], "off_peak": [{"days": ["mon", "sun"], "from": "16:30", "to": "00:30"}],
            "images": {"standard/1024x1024": "0.048"}})
        );
    }
}
