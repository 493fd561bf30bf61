//! What is sold, as a price list: one entry a model, with what the default group pays and whether it answers now.

use std::collections::HashSet;

use super::language::Language;
use super::samples::{Filling, is_plain};
use crate::console::gateway::UpstreamState;
use crate::core::catalog::{Catalog, Model};
use crate::core::price::Price;
use crate::core::tariff::{Tariff, TariffRate};
use crate::core::usage::Tier;

pub struct Good {
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: Kind,
    pub max_output_tokens: Option<String>,
    /// At least one of its upstreams can be called now.
    pub available: bool,
    /// Prices per million tokens; the first line is what most requests pay.
    pub rates: Vec<RateLine>,
    /// The cheapest picture, where pictures have prices.
    pub per_image_from: Option<String>,
    /// All other prices: what for, and how much.
    pub extras: Vec<(String, String)>,
}

pub struct RateLine {
    /// When this line applies instead of the first; empty for the first.
    pub when: String,
    pub input: String,
    pub cached: String,
    pub output: String,
}

/// What a model is for. Nobody tells us; it shows in how a model is priced and named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Embedding,
    Image,
    Speech,
    Transcription,
    Moderation,
    Rerank,
    /// Nothing that its price or name tells.
    Other,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Chat,
        Kind::Embedding,
        Kind::Image,
        Kind::Speech,
        Kind::Transcription,
        Kind::Moderation,
        Kind::Rerank,
        Kind::Other,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Kind::Chat => "chat",
            Kind::Embedding => "embeddings",
            Kind::Image => "images",
            Kind::Speech => "speech",
            Kind::Transcription => "transcription",
            Kind::Moderation => "moderation",
            Kind::Rerank => "rerank",
            Kind::Other => "other",
        }
    }

    pub fn name(&self, l: &Language) -> &'static str {
        match self {
            Kind::Chat => l.say("Chat", "对话"),
            Kind::Embedding => l.say("Embeddings", "嵌入"),
            Kind::Image => l.say("Images", "图像"),
            Kind::Speech => l.say("Speech", "语音合成"),
            Kind::Transcription => l.say("Transcription", "语音识别"),
            Kind::Moderation => l.say("Moderation", "内容审核"),
            Kind::Rerank => l.say("Rankings", "重排序"),
            Kind::Other => l.say("Other", "其他"),
        }
    }

    fn of(name: &str, price: &Price) -> Kind {
        let name = name.to_ascii_lowercase();
        let is_named = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let answers_free = price.rates.iter().all(|rate| rate.output.0 == 0);
        let asks_money = price.rates.iter().any(|rate| rate.input.0 > 0);
        if price.prices_pictures() || is_named(&["image", "dall-e"]) {
            Kind::Image
        } else if price.unit.per_million_characters.0 > 0 || is_named(&["tts", "speech"]) {
            Kind::Speech
        } else if price.unit.per_audio_second.0 > 0 || is_named(&["whisper", "transcri"]) {
            Kind::Transcription
        } else if price.unit.per_search_unit.0 > 0 || is_named(&["rerank"]) {
            Kind::Rerank
        } else if is_named(&["moderat"]) {
            Kind::Moderation
        } else if is_named(&["embed"]) || (answers_free && asks_money) {
            Kind::Embedding
        } else if price.rates.is_empty() {
            // Sold by the request or the page alone.
            Kind::Other
        } else {
            Kind::Chat
        }
    }
}

/// All models in the order of the configuration.
pub fn goods(catalog: &Catalog, upstreams: &[UpstreamState], l: Language) -> Vec<Good> {
    let usable: HashSet<&str> =
        upstreams.iter().filter(|upstream| upstream.usable).map(|upstream| upstream.name.as_str()).collect();
    catalog.models.iter().map(|model| good(catalog, model, &usable, l)).collect()
}

fn good(catalog: &Catalog, model: &Model, usable: &HashSet<&str>, l: Language) -> Good {
    let markup = catalog.group(DEFAULT_GROUP).markup;
    let tariff = Tariff::new(&model.price, markup, &catalog.currency);
    let money = |amount: &str| in_currency(&catalog.currency, amount);
    let mut rates: Vec<&TariffRate> = tariff.rates.iter().collect();
    rates.sort_by_key(|rate| when(rate, l).is_some());
    let line = |rate: &&TariffRate| RateLine {
        when: when(rate, l).unwrap_or_default(),
        input: money(&rate.input),
        cached: money(&rate.cached_input),
        output: money(&rate.output),
    };
    Good {
        name: model.name.clone(),
        aliases: model.aliases.clone(),
        kind: Kind::of(&model.name, &model.price),
        max_output_tokens: model.max_output_tokens.map(grouped),
        available: model.candidates.iter().any(|candidate| usable.contains(candidate.upstream.name.as_str())),
        rates: rates.iter().map(line).collect(),
        per_image_from: model
            .price
            .images
            .values()
            .chain(&model.price.unit.per_image)
            .min()
            .map(|pico| money(&pico.times(markup).display_per_unit())),
        extras: extras(&tariff, &rates, money, l),
    }
}

/// When a rate applies instead of the plain one.
fn when(rate: &TariffRate, l: Language) -> Option<String> {
    let tier = match rate.tier {
        Tier::Standard => None,
        Tier::Batch => Some("batch"),
        Tier::Flex => Some("flex"),
        Tier::Priority => Some("priority"),
        Tier::Ultrafast => Some("ultrafast"),
    };
    let threshold = (rate.above_prompt_tokens > 0).then(|| grouped(rate.above_prompt_tokens));
    let mut parts = Vec::new();
    parts.extend(tier.map(|tier| format!("{} {tier}", l.say("service tier", "服务等级"))));
    parts.extend(threshold.map(|tokens| match l {
        Language::English => format!("above {tokens} prompt tokens"),
        Language::Chinese => format!("输入超过 {tokens} token"),
    }));
    parts.extend(rate.off_peak.then(|| l.say("off-peak", "低峰时段").to_owned()));
    (!parts.is_empty()).then(|| parts.join(l.say(", ", "，")))
}

/// Every price that has no column: of the first rate, of pieces, of pictures, and when off-peak is.
fn extras(
    tariff: &Tariff,
    rates: &[&TariffRate],
    money: impl Fn(&str) -> String,
    l: Language,
) -> Vec<(String, String)> {
    let mut extras = Vec::new();
    let million = l.say("per million tokens", "每百万 token");
    let mut add = |name: &str, amount: Option<&str>, unit: &str| {
        extras
            .extend(amount.map(|amount| (name.to_owned(), format!("{} {unit}", money(amount)).trim_end().to_owned())));
    };
    if let Some(rate) = rates.first() {
        for (name, amount) in [
            (l.say("Cache write", "缓存写入"), &rate.cache_write),
            (l.say("Cache write, 1 hour", "缓存写入（1 小时）"), &rate.cache_write_1h),
            (l.say("Cache write, 12 hours", "缓存写入（12 小时）"), &rate.cache_write_12h),
            (l.say("Audio input", "音频输入"), &rate.audio_input),
            (l.say("Cached audio input", "缓存的音频输入"), &rate.cached_audio_input),
            (l.say("Image input", "图像输入"), &rate.image_input),
            (l.say("Cached image input", "缓存的图像输入"), &rate.cached_image_input),
            (l.say("Video input", "视频输入"), &rate.video_input),
            (l.say("Reasoning", "推理"), &rate.reasoning),
            (l.say("Audio output", "音频输出"), &rate.audio_output),
            (l.say("Image output", "图像输出"), &rate.image_output),
        ] {
            add(name, amount.as_deref(), million);
        }
    }
    for (name, amount) in [
        (l.say("Each request", "每次请求"), &tariff.per_request),
        (l.say("Each image", "每张图像"), &tariff.per_image),
        (l.say("Each second of audio", "每秒音频"), &tariff.per_audio_second),
        (l.say("Million characters", "每百万字符"), &tariff.per_million_characters),
        (l.say("Each search unit", "每搜索单元"), &tariff.per_search_unit),
        (l.say("Each page", "每页"), &tariff.per_page),
        (l.say("Each web search", "每次联网搜索"), &tariff.per_web_search),
    ] {
        add(name, amount.as_deref(), "");
    }
    for (kind, amount) in &tariff.images {
        add(&format!("{} {}", l.say("Image", "图像"), kind.replace('/', " ")), Some(amount), "");
    }
    for window in &tariff.off_peak {
        let name = l.say("Off-peak (UTC)", "低峰时段（UTC）").to_owned();
        let days = if window.days.len() == 7 { String::new() } else { format!("{} ", window.days.join(" ")) };
        extras.push((name, format!("{days}{}–{}", window.from, window.to)));
    }
    extras
}

/// Which models the samples are filled with: of each use the first that answers now, else the first.
pub fn filling(goods: &[Good], l: Language, base_url: &str) -> Filling {
    let first = |kind: Kind| {
        let fitting = || goods.iter().filter(move |good| good.kind == kind && is_plain(&good.name));
        fitting().find(|good| good.available).or_else(|| fitting().next()).map(|good| good.name.clone())
    };
    Filling {
        language: l,
        base_url: base_url.to_owned(),
        chat_model: first(Kind::Chat),
        embedding_model: first(Kind::Embedding),
        image_model: first(Kind::Image),
        speech_model: first(Kind::Speech),
        transcription_model: first(Kind::Transcription),
        moderation_model: first(Kind::Moderation),
        rerank_model: first(Kind::Rerank),
    }
}

/// With at least two decimals, as prices are written.
fn in_currency(currency: &str, amount: &str) -> String {
    let amount = match amount.split_once('.') {
        Some((_, decimals)) if decimals.len() >= 2 => amount.to_owned(),
        Some(_) => format!("{amount}0"),
        None => format!("{amount}.00"),
    };
    match currency {
        "USD" => format!("${amount}"),
        "CNY" => format!("¥{amount}"),
        "EUR" => format!("€{amount}"),
        _ => format!("{amount} {currency}"),
    }
}

/// `16,384`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// New accounts belong to it; who has another price sees it after signing in.
const DEFAULT_GROUP: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::money::Pico;
    use crate::core::price::{Rate, UnitPrices};

    fn price(input: u64, output: u64) -> Price {
        Price { rates: vec![Rate { input: Pico(input), output: Pico(output), ..Rate::default() }], ..Price::default() }
    }

    #[test]
    fn a_price_tells_what_a_model_is_for() {
        let mut pictures = Price::default();
        pictures.images.insert("1024x1024".into(), Pico(1));
        let unit = |set: fn(&mut UnitPrices)| {
            let mut price = Price::default();
            set(&mut price.unit);
            price
        };
        for (name, price, kind) in [
            ("gpt-4o-mini", price(1, 2), Kind::Chat),
            ("free", price(0, 0), Kind::Chat),
            ("bge-m3", price(1, 0), Kind::Embedding),
            ("Text-Embedding-3", price(1, 1), Kind::Embedding),
            ("gpt-image-1", price(1, 1), Kind::Image),
            ("flux", pictures, Kind::Image),
            ("tts-1", Price::default(), Kind::Speech),
            ("reader", unit(|unit| unit.per_million_characters = Pico(1)), Kind::Speech),
            ("gpt-4o-transcribe", price(1, 1), Kind::Transcription),
            ("listener", unit(|unit| unit.per_audio_second = Pico(1)), Kind::Transcription),
            ("rerank-2.5", price(1, 0), Kind::Rerank),
            ("sorter", unit(|unit| unit.per_search_unit = Pico(1)), Kind::Rerank),
            ("omni-moderation", price(0, 0), Kind::Moderation),
            ("page-reader", unit(|unit| unit.per_page = Pico(1)), Kind::Other),
        ] {
            assert_eq!(Kind::of(name, &price), kind, "{name}");
        }
    }

    #[test]
    fn each_rate_says_when_it_applies() {
        let rate = |tier, above, off_peak| {
            let rate = Rate { tier, above_prompt_tokens: above, off_peak, ..Rate::default() };
            let price = Price { rates: vec![rate], ..Price::default() };
            let tariff = Tariff::new(&price, crate::core::money::Markup::LIST_PRICE, "USD");
            when(&tariff.rates[0], Language::English)
        };
        assert_eq!(rate(Tier::Standard, 0, false), None);
        assert_eq!(
            rate(Tier::Priority, 200_000, true).unwrap(),
            "service tier priority, above 200,000 prompt tokens, off-peak"
        );
    }

    #[test]
    fn amounts_have_two_decimals_or_more() {
        for (amount, text) in [("0", "$0.00"), ("0.6", "$0.60"), ("2.50", "$2.50"), ("0.075", "$0.075")] {
            assert_eq!(in_currency("USD", amount), text);
        }
        assert_eq!(in_currency("CHF", "1"), "1.00 CHF");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (16_384, "16,384"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
