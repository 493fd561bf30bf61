//! Usage times price is cost.
//!
//! A model has rate rows. One row prices all tokens of a request: of the rows with the request's tier (standard where
//! the tier has none) the one with the largest threshold that the prompt exceeds, as providers bill long contexts.
//! What comes of it is a [`Bill`], which adds up its lines, multiplies by the group's markup and rounds once.

use std::collections::BTreeMap;

use super::bill::{Bill, Item, Line};
use super::money::{Markup, Nano, Pico};
use super::usage::{ImageKind, Tier, Usage};

/// A model's prices at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Identifies these prices in every charge made with them: a digest of all that stands below.
    pub version: String,
    pub rates: Vec<Rate>,
    /// Windows of UTC time in which `off_peak` rows apply.
    pub off_peak: Vec<MinuteWindow>,
    pub unit: UnitPrices,
    /// Price of one picture by `quality/size` (or `size` alone).
    pub images: BTreeMap<String, Pico>,
    /// What a picture may cost, for the hold only: models that bill pictures by tokens.
    pub image_estimate: BTreeMap<String, Pico>,
}

/// One row: its selectors, then prices per token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub tier: Tier,
    pub above_prompt_tokens: u64,
    /// Whether a prompt of exactly the threshold is already above it (xAI).
    pub threshold_inclusive: bool,
    pub off_peak: bool,
    pub input: Pico,
    pub output: Pico,
    pub cached_input: Option<Pico>,
    pub cache_write: Option<Pico>,
    pub cache_write_1h: Option<Pico>,
    pub cache_write_12h: Option<Pico>,
    pub audio_input: Option<Pico>,
    pub cached_audio_input: Option<Pico>,
    pub image_input: Option<Pico>,
    pub cached_image_input: Option<Pico>,
    pub video_input: Option<Pico>,
    pub reasoning: Option<Pico>,
    pub audio_output: Option<Pico>,
    pub image_output: Option<Pico>,
}

/// Prices of things that are not tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitPrices {
    pub per_request: Pico,
    pub per_image: Option<Pico>,
    pub per_audio_second: Pico,
    pub per_million_characters: Pico,
    pub per_search_unit: Pico,
    pub per_page: Pico,
    pub per_web_search: Pico,
}

/// From minute to minute of a UTC day; `to` is exclusive and may lie before `from` (over midnight).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinuteWindow {
    /// The days on which it begins: bit 0 is Monday, bit 6 Sunday.
    pub weekdays: u8,
    pub from: u16,
    pub to: u16,
}

/// The most that a request could use: what is known before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub images: u64,
    pub image_kind: ImageKind,
    pub characters: u64,
    pub audio_ms: u64,
    pub search_units: u64,
    pub web_searches: u64,
    /// The tier that the request asks for; an answer may name another, cheaper or not.
    pub tier: Tier,
}

impl Price {
    /// What this usage costs a customer with this markup, for a request that started at `started_at_ms` (Unix).
    pub fn cost(&self, usage: &Usage, started_at_ms: i64, markup: Markup) -> Nano {
        self.bill(usage, started_at_ms, markup).total()
    }

    /// The same, line by line.
    pub fn bill(&self, usage: &Usage, started_at_ms: i64, markup: Markup) -> Bill {
        let mut bill = Bill::new(markup);
        if let Some(rate) = self.rate(usage.tier, usage.input_total(), self.is_off_peak(started_at_ms)) {
            rate.put_tokens(usage, &mut bill);
        }
        bill.put(Item::PerRequest, 1, self.unit.per_request);
        bill.put(Item::SearchUnit, usage.search_units, self.unit.per_search_unit);
        bill.put(Item::Page, usage.pages, self.unit.per_page);
        bill.put(Item::WebSearch, usage.web_searches, self.unit.per_web_search);
        bill.put(Item::AudioSeconds, usage.audio_ms, self.unit.per_audio_second);
        bill.put(Item::Characters, usage.characters, self.unit.per_million_characters);
        // A model that bills tokens bills its pictures as tokens too; a price per picture is for those that do not.
        if usage.images > 0 {
            bill.put(Item::Image, usage.images, self.image_price(&self.images, &usage.image_kind));
        }
        bill
    }

    /// The most that a request within `bound` can cost, at the dearest row that can apply.
    pub fn ceiling(&self, bound: &Bound, started_at_ms: i64, markup: Markup) -> Nano {
        self.ceiling_bill(bound, started_at_ms, markup).total()
    }

    /// The same, line by line.
    ///
    /// Which row applies is known only from the answer (it names the tier, and counts the prompt), so every row that
    /// the bound leaves possible is considered, and each count at its dearest category.
    pub fn ceiling_bill(&self, bound: &Bound, started_at_ms: i64, markup: Markup) -> Bill {
        let off_peak = self.is_off_peak(started_at_ms);
        let dearest = self
            .rates
            .iter()
            .filter(|rate| rate.tier == Tier::Standard || rate.tier == bound.tier)
            .filter(|rate| rate.admits(bound.input_tokens) && (off_peak || !rate.off_peak))
            .map(|rate| {
                let input = Line { item: Item::Input, quantity: bound.input_tokens, price: rate.dearest_input() };
                let output = Line { item: Item::Output, quantity: bound.output_tokens, price: rate.dearest_output() };
                [input, output]
            })
            .max_by_key(|[input, output]| input.amount().0.saturating_add(output.amount().0));
        let mut bill = Bill::new(markup);
        for line in dearest.into_iter().flatten() {
            bill.put(line.item, line.quantity, line.price);
        }
        bill.put(Item::PerRequest, 1, self.unit.per_request);
        bill.put(Item::SearchUnit, bound.search_units, self.unit.per_search_unit);
        bill.put(Item::WebSearch, bound.web_searches, self.unit.per_web_search);
        bill.put(Item::AudioSeconds, bound.audio_ms, self.unit.per_audio_second);
        bill.put(Item::Characters, bound.characters, self.unit.per_million_characters);
        if bound.images > 0 {
            let each = self
                .image_price(&self.images, &bound.image_kind)
                .max(self.image_price(&self.image_estimate, &bound.image_kind));
            bill.put(Item::Image, bound.images, each);
        }
        bill
    }

    /// Whether any token costs something: answers of models for which none does need not report them.
    pub fn prices_tokens(&self) -> bool {
        self.rates.iter().any(|rate| rate.dearest_input().max(rate.dearest_output()) > Pico(0))
    }

    /// Whether pictures have a price of their own; otherwise they are billed by their tokens.
    pub fn prices_pictures(&self) -> bool {
        !self.images.is_empty() || self.unit.per_image.is_some()
    }

    fn rate(&self, tier: Tier, prompt_tokens: u64, off_peak: bool) -> Option<&Rate> {
        let best = |tier: Tier| {
            self.rates
                .iter()
                .filter(|rate| rate.tier == tier && rate.admits(prompt_tokens) && (off_peak || !rate.off_peak))
                .max_by_key(|rate| (rate.off_peak, rate.above_prompt_tokens))
        };
        best(tier).or_else(|| best(Tier::Standard))
    }

    /// One picture: by quality and size, else by size, else the price for any picture. A picture of a kind that the
    /// table does not know costs as much as the dearest one in it: an unknown kind must not be free.
    fn image_price(&self, table: &BTreeMap<String, Pico>, kind: &ImageKind) -> Pico {
        let quality = if kind.quality.is_empty() { "standard" } else { &kind.quality };
        let size = if kind.size.is_empty() { "1024x1024" } else { &kind.size };
        table
            .get(&format!("{quality}/{size}"))
            .or_else(|| table.get(size))
            .copied()
            .or(self.unit.per_image)
            .or_else(|| table.values().max().copied())
            .unwrap_or_default()
    }

    fn is_off_peak(&self, at_ms: i64) -> bool {
        let minute = at_ms.div_euclid(60_000).rem_euclid(1_440) as u16;
        // 1 January 1970 was a Thursday.
        let weekday = at_ms.div_euclid(86_400_000).wrapping_add(3).rem_euclid(7) as u8;
        self.off_peak.iter().any(|window| window.contains(weekday, minute))
    }
}

impl MinuteWindow {
    pub const EVERY_DAY: u8 = 0b111_1111;

    /// `weekday` counts from Monday, which is 0.
    fn contains(self, weekday: u8, minute: u16) -> bool {
        let begins_on = |weekday: u8| self.weekdays.wrapping_shr(u32::from(weekday)) & 1 == 1;
        if self.from <= self.to {
            return begins_on(weekday) && (self.from..self.to).contains(&minute);
        }
        // What lies behind midnight belongs to the day before.
        let yesterday = weekday.checked_sub(1).unwrap_or(6);
        (begins_on(weekday) && minute >= self.from) || (begins_on(yesterday) && minute < self.to)
    }
}

impl Rate {
    fn admits(&self, prompt_tokens: u64) -> bool {
        self.above_prompt_tokens == 0
            || prompt_tokens > self.above_prompt_tokens
            || (self.threshold_inclusive && prompt_tokens == self.above_prompt_tokens)
    }

    /// The fallbacks are the price book's: whatever has no price of its own costs what its parent costs.
    fn put_tokens(&self, usage: &Usage, bill: &mut Bill) {
        let cached_input = self.cached_input.unwrap_or(self.input);
        let cache_write = self.cache_write.unwrap_or(self.input);
        let audio_input = self.audio_input.unwrap_or(self.input);
        let image_input = self.image_input.unwrap_or(self.input);
        bill.put(Item::Input, usage.input_text, self.input);
        bill.put(Item::CachedInput, usage.input_cached, cached_input);
        bill.put(Item::CacheWrite, usage.input_cache_write, cache_write);
        bill.put(Item::CacheWrite1h, usage.input_cache_write_1h, self.cache_write_1h.unwrap_or(cache_write));
        bill.put(Item::CacheWrite12h, usage.input_cache_write_12h, self.cache_write_12h.unwrap_or(cache_write));
        bill.put(Item::AudioInput, usage.input_audio, audio_input);
        bill.put(Item::CachedAudioInput, usage.input_cached_audio, self.cached_audio_input.unwrap_or(audio_input));
        bill.put(Item::ImageInput, usage.input_image, image_input);
        bill.put(Item::CachedImageInput, usage.input_cached_image, self.cached_image_input.unwrap_or(image_input));
        bill.put(Item::VideoInput, usage.input_video, self.video_input.unwrap_or(self.input));
        bill.put(Item::Output, usage.output_text, self.output);
        bill.put(Item::Reasoning, usage.output_reasoning, self.reasoning.unwrap_or(self.output));
        bill.put(Item::AudioOutput, usage.output_audio, self.audio_output.unwrap_or(self.output));
        bill.put(Item::ImageOutput, usage.output_image, self.image_output.unwrap_or(self.output));
    }

    fn dearest_input(&self) -> Pico {
        [
            self.cached_input,
            self.cache_write,
            self.cache_write_1h,
            self.cache_write_12h,
            self.audio_input,
            self.cached_audio_input,
            self.image_input,
            self.cached_image_input,
            self.video_input,
        ]
        .into_iter()
        .flatten()
        .fold(self.input, Pico::max)
    }

    fn dearest_output(&self) -> Pico {
        [self.reasoning, self.audio_output, self.image_output].into_iter().flatten().fold(self.output, Pico::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(input: u64, output: u64) -> Rate {
        Rate { input: Pico(input), output: Pico(output), ..Rate::default() }
    }

    fn price(rates: Vec<Rate>) -> Price {
        Price { rates, ..Price::default() }
    }

    #[test]
    fn the_readme_example_costs_what_it_says() {
        // gpt-4o-mini: $0.15 in, $0.075 cached, $0.60 out per million.
        let price = price(vec![Rate { cached_input: Some(Pico(75_000)), ..rate(150_000, 600_000) }]);
        let usage = Usage { input_text: 1_000, input_cached: 1_000, output_text: 100, ..Usage::default() };
        // 1000 × 150 + 1000 × 75 + 100 × 600 nano-dollars per thousand tokens = 285,000 nano.
        assert_eq!(price.cost(&usage, 0, Markup::LIST_PRICE), Nano(285_000));
        assert_eq!(price.cost(&usage, 0, Markup::parse("1.2").unwrap()), Nano(342_000));
    }

    #[test]
    fn rounds_once_and_up() {
        let price = price(vec![rate(1, 1)]);
        let usage = Usage { input_text: 1, output_text: 1, ..Usage::default() };
        assert_eq!(price.cost(&usage, 0, Markup::LIST_PRICE), Nano(1));
        assert_eq!(price.cost(&Usage::default(), 0, Markup::LIST_PRICE), Nano(0));
    }

    #[test]
    fn the_long_context_row_prices_every_token() {
        let long = Rate { above_prompt_tokens: 1_000, ..rate(2_000_000, 4_000_000) };
        let book = price(vec![rate(1_000_000, 2_000_000), long.clone()]);
        let used = |input_text| Usage { input_text, output_text: 10, ..Usage::default() };
        assert_eq!(book.cost(&used(1_000), 0, Markup::LIST_PRICE), Nano(1_020_000));
        assert_eq!(book.cost(&used(1_001), 0, Markup::LIST_PRICE), Nano(2_042_000));
        let inclusive = price(vec![rate(1_000_000, 2_000_000), Rate { threshold_inclusive: true, ..long }]);
        assert_eq!(inclusive.cost(&used(1_000), 0, Markup::LIST_PRICE), Nano(2_040_000));
    }

    #[test]
    fn the_tier_of_the_answer_decides_and_an_unknown_one_is_standard() {
        let book = price(vec![rate(1_000_000, 0), Rate { tier: Tier::Priority, ..rate(2_000_000, 0) }]);
        let used = |tier| Usage { input_text: 1_000, tier, ..Usage::default() };
        assert_eq!(book.cost(&used(Tier::Priority), 0, Markup::LIST_PRICE), Nano(2_000_000));
        assert_eq!(book.cost(&used(Tier::Flex), 0, Markup::LIST_PRICE), Nano(1_000_000));
    }

    #[test]
    fn missing_prices_fall_back_and_zero_is_a_price() {
        let book = price(vec![rate(1_000_000, 2_000_000)]);
        let usage = Usage { input_cached: 1_000, output_reasoning: 1_000, ..Usage::default() };
        assert_eq!(book.cost(&usage, 0, Markup::LIST_PRICE), Nano(3_000_000));
        let free_cache = price(vec![Rate { cached_input: Some(Pico(0)), ..rate(1_000_000, 2_000_000) }]);
        assert_eq!(free_cache.cost(&usage, 0, Markup::LIST_PRICE), Nano(2_000_000));
    }

    #[test]
    fn off_peak_rows_apply_in_their_window_over_midnight() {
        let mut book = price(vec![rate(1_000_000, 0), Rate { off_peak: true, ..rate(500_000, 0) }]);
        book.off_peak = vec![MinuteWindow { weekdays: MinuteWindow::EVERY_DAY, from: 16 * 60 + 30, to: 30 }];
        let usage = Usage { input_text: 1_000, ..Usage::default() };
        let at = |hour: i64, minute: i64| book.cost(&usage, (hour * 60 + minute) * 60_000, Markup::LIST_PRICE);
        assert_eq!(at(12, 0), Nano(1_000_000));
        assert_eq!(at(16, 30), Nano(500_000));
        assert_eq!(at(0, 29), Nano(500_000));
        assert_eq!(at(0, 30), Nano(1_000_000));
    }

    #[test]
    fn a_window_belongs_to_the_day_on_which_it_begins() {
        let mut book = price(vec![rate(1_000_000, 0), Rate { off_peak: true, ..rate(500_000, 0) }]);
        // Fridays from 22:00 to 02:00, and all of Sunday.
        book.off_peak = vec![
            MinuteWindow { weekdays: 1 << 4, from: 22 * 60, to: 2 * 60 },
            MinuteWindow { weekdays: 1 << 6, from: 0, to: 1_440 },
        ];
        let usage = Usage { input_text: 1_000, ..Usage::default() };
        // Day 0 is Thursday, 1 January 1970.
        let is_cheap =
            |day: i64, hour: i64| book.cost(&usage, (day * 24 + hour) * 3_600_000, Markup::LIST_PRICE) == Nano(500_000);
        assert!(!is_cheap(0, 23) && !is_cheap(1, 1) && !is_cheap(1, 21));
        assert!(is_cheap(1, 22) && is_cheap(2, 1));
        assert!(!is_cheap(2, 2) && !is_cheap(2, 22));
        assert!(is_cheap(3, 0) && is_cheap(3, 23) && !is_cheap(4, 0));
        assert!(is_cheap(-4, 12), "a Sunday before 1970");
    }

    #[test]
    fn pictures_follow_quality_and_size() {
        let mut book = Price::default();
        book.images.insert("standard/1024x1024".into(), Pico::per_unit("0.04").unwrap());
        book.images.insert("hd/1024x1024".into(), Pico::per_unit("0.08").unwrap());
        let used = |quality: &str, size: &str| Usage {
            images: 2,
            image_kind: ImageKind { quality: quality.into(), size: size.into() },
            ..Usage::default()
        };
        assert_eq!(book.cost(&used("", ""), 0, Markup::LIST_PRICE), Nano(80_000_000));
        assert_eq!(book.cost(&used("hd", "1024x1024"), 0, Markup::LIST_PRICE), Nano(160_000_000));
        // Unknown: as the dearest.
        assert_eq!(book.cost(&used("hd", "9x9"), 0, Markup::LIST_PRICE), Nano(160_000_000));
    }

    #[test]
    fn the_largest_numbers_saturate_instead_of_wrapping() {
        let book = price(vec![rate(u64::MAX, u64::MAX)]);
        let usage = Usage { input_text: u64::MAX, output_text: u64::MAX, ..Usage::default() };
        assert_eq!(book.cost(&usage, 0, Markup(u32::MAX)), Nano::MAX);
    }

    fn any_rate() -> impl Strategy<Value = Rate> {
        (0..10_000_000_000u64, 0..10_000_000_000u64, proptest::option::of(0..10_000_000_000u64))
            .prop_map(|(input, output, cached)| Rate { cached_input: cached.map(Pico), ..rate(input, output) })
    }

    proptest! {
        /// 128 bits against an independent computation in parts that cannot overflow.
        #[test]
        fn cost_equals_long_arithmetic(rate in any_rate(), text in 0..1_000_000_000u64, cached in 0..1_000_000_000u64,
                                       output in 0..1_000_000_000u64, ppm in 0..10_000_000u32) {
            let usage = Usage { input_text: text, input_cached: cached, output_text: output, ..Usage::default() };
            let (input, cached_price) = (rate.input, rate.cached_input.unwrap_or(rate.input));
            // Schoolbook: each product as (high, low) in base 10^9, added, scaled and divided digit by digit.
            let mut digits = [0u128; 6];
            for (count, pico) in [(text, input.0), (cached, cached_price.0), (output, rate.output.0)] {
                let product = u128::from(count) * u128::from(pico) * u128::from(ppm);
                let (mut position, mut rest) = (0, product);
                while rest > 0 { digits[position] += rest % 1_000_000_000; rest /= 1_000_000_000; position += 1; }
            }
            for position in 0..5 { digits[position + 1] += digits[position] / 1_000_000_000; digits[position] %= 1_000_000_000; }
            // Dividing by 10^9 (ppm and pico per nano together) drops the lowest digit, rounding up.
            let mut expected = if digits[0] > 0 { 1u128 } else { 0 };
            let mut scale = 1u128;
            for digit in &digits[1..5] { expected += digit * scale; scale *= 1_000_000_000; }
            let expected = i64::try_from(expected).unwrap_or(i64::MAX);
            prop_assert_eq!(price(vec![rate]).cost(&usage, 0, Markup(ppm)), Nano(expected));
        }

        /// What the stored text of a bill shows, reckoned by hand, is the charge.
        #[test]
        fn the_lines_times_the_markup_are_the_cost(rate in any_rate(), counts in proptest::array::uniform14(0..1_000_000_000u64),
                                                   others in proptest::array::uniform6(0..1_000_000u64),
                                                   prices in proptest::array::uniform6(0..1_000_000_000u64),
                                                   per_image in proptest::option::of(0..1_000_000_000_000u64), ppm in 0..10_000_000u32) {
            let mut book = price(vec![rate]);
            let [per_request, per_audio_second, per_million_characters, per_search_unit, per_page, per_web_search] = prices.map(Pico);
            let per_image = per_image.map(Pico);
            book.unit = UnitPrices { per_request, per_image, per_audio_second, per_million_characters, per_search_unit, per_page, per_web_search };
            let [input_text, input_cached, input_cache_write, input_cache_write_1h, input_cache_write_12h, input_audio, input_cached_audio,
                 input_image, input_cached_image, input_video, output_text, output_reasoning, output_audio, output_image] = counts;
            let [images, audio_ms, characters, search_units, pages, web_searches] = others;
            let usage = Usage {
                input_text, input_cached, input_cache_write, input_cache_write_1h, input_cache_write_12h, input_audio, input_cached_audio,
                input_image, input_cached_image, input_video, output_text, output_reasoning, output_audio, output_image,
                images, audio_ms, characters, search_units, pages, web_searches, ..Usage::default()
            };
            let text = book.bill(&usage, 0, Markup(ppm)).to_string();
            let mut pico = 0;
            for line in text.split(';').filter(|part| !part.starts_with('x')) {
                let words: Vec<&str> = line.split(' ').collect();
                let product: u128 = words[1].parse::<u128>().unwrap() * words[2].parse::<u128>().unwrap();
                let divisor = match words[0] { "audio_seconds" => 1_000, "characters" => 1_000_000, _ => 1 };
                pico += product / divisor + u128::from(!product.is_multiple_of(divisor));
            }
            let marked_up = pico * u128::from(ppm);
            let expected = marked_up / 1_000_000_000 + u128::from(marked_up % 1_000_000_000 > 0);
            let expected_nano = Nano(i64::try_from(expected).unwrap_or(i64::MAX));
            prop_assert_eq!(book.cost(&usage, 0, Markup(ppm)), expected_nano);
            prop_assert_eq!(Bill::parse(&text).map(|bill| bill.total()), Some(expected_nano));
            // Nothing that was used is missing.
            let tokens: u64 = book.bill(&usage, 0, Markup(ppm)).lines().filter(|line| line.item.is_tokens()).map(|line| line.quantity).sum();
            prop_assert_eq!(tokens, usage.input_total() + usage.output_total());
        }

        #[test]
        fn more_tokens_never_cost_less(rate in any_rate(), tokens in 0..1_000_000u64, more in 0..1_000_000u64) {
            let book = price(vec![rate]);
            let used = |output_text| Usage { output_text, ..Usage::default() };
            prop_assert!(book.cost(&used(tokens), 0, Markup::LIST_PRICE) <= book.cost(&used(tokens + more), 0, Markup::LIST_PRICE));
        }

        #[test]
        fn the_ceiling_holds_any_split_of_the_bound(rate in any_rate(), input in 0..1_000_000u64, cached in 0..1_000_000u64,
                                                    output in 0..1_000_000u64, reasoning in 0..1_000_000u64) {
            let book = price(vec![rate]);
            let usage = Usage { input_text: input, input_cached: cached, output_text: output, output_reasoning: reasoning, ..Usage::default() };
            let bound = Bound { input_tokens: input + cached, output_tokens: output + reasoning, ..Bound::default() };
            prop_assert!(book.cost(&usage, 0, Markup::LIST_PRICE) <= book.ceiling(&bound, 0, Markup::LIST_PRICE));
        }
    }
}
