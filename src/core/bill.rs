//! What a charge consists of: the arithmetic itself, line by line.
//!
//! A charge is computed by no other way than through a bill, so what a bill shows is what was charged. Lines are added
//! up exactly, in pico-units; the sum is multiplied by the group's markup and rounded once, up, to a nano-unit.
//!
//! Always true: the total is never negative, never wraps, and grows with each quantity.

use std::fmt::{self, Display, Formatter, Write};

use super::money::{Markup, Nano, Pico, PicoSum};

/// What may be on a bill, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Input,
    CachedInput,
    CacheWrite,
    CacheWrite1h,
    CacheWrite12h,
    AudioInput,
    CachedAudioInput,
    ImageInput,
    CachedImageInput,
    VideoInput,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
    Image,
    /// Counted in milliseconds.
    AudioSeconds,
    Characters,
    SearchUnit,
    Page,
    WebSearch,
    PerRequest,
}

impl Item {
    /// In the order of a bill's lines.
    pub const ALL: [Item; 21] = [
        Item::Input,
        Item::CachedInput,
        Item::CacheWrite,
        Item::CacheWrite1h,
        Item::CacheWrite12h,
        Item::AudioInput,
        Item::CachedAudioInput,
        Item::ImageInput,
        Item::CachedImageInput,
        Item::VideoInput,
        Item::Output,
        Item::Reasoning,
        Item::AudioOutput,
        Item::ImageOutput,
        Item::Image,
        Item::AudioSeconds,
        Item::Characters,
        Item::SearchUnit,
        Item::Page,
        Item::WebSearch,
        Item::PerRequest,
    ];

    /// The word that stands for it in storage: it must never change.
    pub fn as_str(self) -> &'static str {
        match self {
            Item::Input => "input",
            Item::CachedInput => "cached_input",
            Item::CacheWrite => "cache_write",
            Item::CacheWrite1h => "cache_write_1h",
            Item::CacheWrite12h => "cache_write_12h",
            Item::AudioInput => "audio_input",
            Item::CachedAudioInput => "cached_audio_input",
            Item::ImageInput => "image_input",
            Item::CachedImageInput => "cached_image_input",
            Item::VideoInput => "video_input",
            Item::Output => "output",
            Item::Reasoning => "reasoning",
            Item::AudioOutput => "audio_output",
            Item::ImageOutput => "image_output",
            Item::Image => "image",
            Item::AudioSeconds => "audio_seconds",
            Item::Characters => "characters",
            Item::SearchUnit => "search_unit",
            Item::Page => "page",
            Item::WebSearch => "web_search",
            Item::PerRequest => "per_request",
        }
    }

    /// What its quantity counts, for people.
    pub fn unit(self) -> &'static str {
        match self {
            Item::Image => "images",
            Item::AudioSeconds => "seconds",
            Item::Characters => "characters",
            Item::SearchUnit => "search_units",
            Item::Page => "pages",
            Item::WebSearch => "searches",
            Item::PerRequest => "requests",
            _ => "tokens",
        }
    }

    pub fn is_tokens(self) -> bool {
        self.unit() == "tokens"
    }

    /// How many of what is counted the price is for.
    fn counted_per_price(self) -> u128 {
        match self {
            Item::AudioSeconds => 1_000,
            Item::Characters => 1_000_000,
            _ => 1,
        }
    }
}

/// So many of this, at this price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub item: Item,
    pub quantity: u64,
    /// For a token, an image, a second of audio, a million characters, …
    pub price: Pico,
}

impl Line {
    /// At list price.
    pub fn amount(&self) -> PicoSum {
        let product = u128::from(self.quantity).saturating_mul(u128::from(self.price.0));
        match self.item.counted_per_price() {
            1 => PicoSum(product),
            divisor => PicoSum(product.div_ceil(divisor)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// By the item's place in [`Item::ALL`], so there is room for every line that there can be.
    places: [(u64, Pico); Item::ALL.len()],
    pub markup: Markup,
}

impl Bill {
    pub fn new(markup: Markup) -> Bill {
        Bill { places: [(0, Pico(0)); Item::ALL.len()], markup }
    }

    /// Puts an item on the bill, in place of what was there of it.
    pub fn put(&mut self, item: Item, quantity: u64, price: Pico) {
        self.places[item as usize] = (quantity, price);
    }

    /// What there was any of. A price of zero is shown for tokens, where it says that they were free; for all else it
    /// means that there is no price.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let lines = Item::ALL.into_iter().zip(&self.places);
        lines
            .map(|(item, (quantity, price))| Line { item, quantity: *quantity, price: *price })
            .filter(|line| line.quantity > 0 && (line.price.0 > 0 || line.item.is_tokens()))
    }

    /// The sum of the lines, before markup.
    pub fn list_total(&self) -> PicoSum {
        self.lines().fold(PicoSum(0), |sum, line| PicoSum(sum.0.saturating_add(line.amount().0)))
    }

    /// The charge. The one rounding: up, as rounding down would make tiny requests free.
    pub fn total(&self) -> Nano {
        self.times(self.markup)
    }

    /// The same without markup: what it costs by the price list.
    pub fn cost(&self) -> Nano {
        self.times(Markup::LIST_PRICE)
    }

    fn times(&self, markup: Markup) -> Nano {
        let nano = self.list_total().0.saturating_mul(u128::from(markup.0)).div_ceil(PPM * PICO_PER_NANO);
        Nano(i64::try_from(nano).unwrap_or(i64::MAX))
    }

    /// Reads what [`Display`] wrote. `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Bill> {
        let (lines, markup) = match text.rsplit_once(';') {
            Some((lines, markup)) => (Some(lines), markup),
            None => (None, text),
        };
        let mut bill = Bill::new(Markup(markup.strip_prefix('x')?.parse().ok()?));
        for line in lines.into_iter().flat_map(|lines| lines.split(';')) {
            let mut words = line.split(' ');
            let (name, quantity, price) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let item = Item::ALL.into_iter().find(|item| item.as_str() == name)?;
            bill.put(item, quantity, Pico(price));
        }
        // Twice the same item, other spellings of a number, empty lines: none of it is ours.
        (bill.to_string() == text).then_some(bill)
    }
}

/// As it is stored: `input 7 150000;output 39 600000;x1000000`. Quantity and pico-units of each line, then the markup in
/// parts per million.
impl Display for Bill {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            f.write_str(line.item.as_str())?;
            f.write_char(' ')?;
            line.quantity.fmt(f)?;
            f.write_char(' ')?;
            line.price.0.fmt(f)?;
            f.write_char(';')?;
        }
        f.write_char('x')?;
        self.markup.0.fmt(f)
    }
}

const PPM: u128 = 1_000_000;
const PICO_PER_NANO: u128 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_item_has_its_own_place_and_word() {
        for (place, item) in Item::ALL.into_iter().enumerate() {
            assert_eq!(item as usize, place);
            assert_eq!(Item::ALL.iter().filter(|other| other.as_str() == item.as_str()).count(), 1);
        }
    }

    #[test]
    fn it_is_stored_as_people_would_write_it() {
        let mut bill = Bill::new(Markup(1_250_000));
        bill.put(Item::Output, 39, Pico(600_000));
        bill.put(Item::Input, 7, Pico(150_000));
        bill.put(Item::Reasoning, 0, Pico(600_000));
        bill.put(Item::CachedInput, 5, Pico(0));
        bill.put(Item::PerRequest, 1, Pico(0));
        assert_eq!(bill.to_string(), "input 7 150000;cached_input 5 0;output 39 600000;x1250000");
        assert_eq!(bill.list_total(), PicoSum(24_450_000));
        assert_eq!(bill.total(), Nano(30_563), "30,562.5 rounded up");
        assert_eq!(Bill::new(Markup::LIST_PRICE).to_string(), "x1000000");
    }

    #[test]
    fn seconds_and_millions_of_characters_are_rounded_up_in_their_line() {
        let amount = |item, quantity, price| Line { item, quantity, price: Pico(price) }.amount();
        assert_eq!(amount(Item::AudioSeconds, 1_500, 100_000_000), PicoSum(150_000_000));
        assert_eq!(amount(Item::AudioSeconds, 1, 1), PicoSum(1));
        assert_eq!(amount(Item::Characters, 2_000_000, 15_000_000), PicoSum(30_000_000));
        assert_eq!(amount(Item::Image, u64::MAX, u64::MAX), PicoSum(u128::from(u64::MAX) * u128::from(u64::MAX)));
    }

    #[test]
    fn what_is_no_bill_is_not_read() {
        for text in [
            "",
            "x",
            "1000000",
            "x-1",
            "x4294967296",
            "x01",
            ";x1",
            "input 7 150000",
            "input 7;x1",
            "input 7 1 1;x1",
            "tea 1 1;x1",
            "input 1 1;input 1 1;x1",
            "output 1 1;input 1 1;x1",
            "input 0 1;x1",
            "input  7 1;x1",
            "input +7 1;x1",
            "input 18446744073709551616 1;x1",
            "input 7 150000;x1000000 ",
            "page 1 0;x1",
        ] {
            assert_eq!(Bill::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_bill_survives_text(places in proptest::collection::vec((0..21usize, any::<u64>(), any::<u64>()), 0..30),
                                    markup: u32) {
            let mut bill = Bill::new(Markup(markup));
            for (item, quantity, price) in places {
                bill.put(Item::ALL[item], quantity, Pico(price));
            }
            let read = Bill::parse(&bill.to_string()).unwrap();
            prop_assert_eq!(read.total(), bill.total());
            prop_assert_eq!(read.lines().collect::<Vec<_>>(), bill.lines().collect::<Vec<_>>());
            prop_assert!(bill.to_string().len() <= 1_500);
        }

        #[test]
        fn no_text_panics(text in "(input|x|;| |[0-9]){0,30}") {
            let _ = Bill::parse(&text);
        }
    }
}
