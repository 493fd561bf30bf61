//! What the demo says, and how it counts.
//!
//! A token here is a word with the space before it, a dozen letters of a long word, or one character of a script that
//! has no spaces. The pieces of a text put together are the text again, so a stream and a whole answer cannot differ.

/// The text's tokens, in order.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at_checked(piece_bytes(rest))?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

pub fn count(text: &str) -> u64 {
    pieces(text).count() as u64
}

fn piece_bytes(text: &str) -> usize {
    let mut letters = 0;
    let mut after_wide = false;
    let ends = |(_, character): &(usize, char)| {
        if character.is_whitespace() {
            return letters > 0;
        }
        let ends = letters > 0 && (after_wide || is_wide(*character) || letters == PIECE_LETTERS_MAX);
        letters += 1;
        after_wide = is_wide(*character);
        ends
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// From the CJK radicals upwards: scripts written without spaces, and emoji.
fn is_wide(character: char) -> bool {
    character >= '\u{2E80}'
}

/// An answer as it is delivered.
pub struct Said {
    pub pieces: Vec<String>,
    pub end: End,
}

/// Why an answer is over.
#[derive(Debug, PartialEq)]
pub enum End {
    Done,
    StopWord(String),
    Length,
}

impl End {
    /// In OpenAI's word, which does not tell a stop word from an answer's own end.
    pub fn finish_reason(&self) -> &'static str {
        match self {
            End::Done | End::StopWord(_) => "stop",
            End::Length => "length",
        }
    }
}

/// Ends a text before the first of the stop words, and at the most tokens that are asked for.
pub fn say(text: &str, stops: &[String], tokens_max: Option<u64>) -> Said {
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    let stopped = stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min();
    let end_bytes = stopped.map_or(text.len(), |(at, _)| at);
    let tokens_max = tokens_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let mut all = pieces(&text[..end_bytes]).map(str::to_owned);
    let pieces: Vec<_> = all.by_ref().take(tokens_max).collect();
    let end = match stopped {
        _ if all.next().is_some() => End::Length,
        Some((_, stop)) => End::StopWord(stop.clone()),
        None => End::Done,
    };
    Said { pieces, end }
}

/// What to answer. `variant` tells several answers to one prompt apart.
pub fn reply(prompt: &str, variant: usize) -> String {
    let heard = excerpt(prompt, HEARD_CHARS_MAX).to_lowercase();
    let voice = if heard.chars().any(is_wide) { &CHINESE } else { &ENGLISH };
    let words: Vec<&str> = heard.split(|character: char| !character.is_alphanumeric()).collect();
    let is_meant = |keyword: &&str| match keyword.chars().any(is_wide) {
        true => heard.contains(keyword),
        false => words.contains(keyword),
    };
    match voice.topics.iter().find(|topic| topic.keywords.iter().any(is_meant)) {
        Some(topic) => topic.answer.to_owned(),
        None if heard.is_empty() => voice.otherwise[0].to_owned(),
        None => {
            let otherwise = voice.otherwise[variant % voice.otherwise.len()];
            format!("{}“{}”\n\n{otherwise}", voice.echo, excerpt(prompt, ECHO_CHARS_MAX))
        }
    }
}

/// The beginning of a text, in one line.
pub fn excerpt(text: &str, chars_max: usize) -> String {
    let mut line = text.split_whitespace().flat_map(|word| [" ", word]).skip(1).flat_map(str::chars);
    let mut excerpt: String = line.clone().take(chars_max).collect();
    if line.nth(chars_max).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// What is known by heart in one language.
struct Voice {
    echo: &'static str,
    topics: &'static [Topic],
    /// When no topic fits.
    otherwise: &'static [&'static str],
}

struct Topic {
    /// Whole words in lower case; anywhere in the text for scripts without spaces.
    keywords: &'static [&'static str],
    answer: &'static str,
}

const PIECE_LETTERS_MAX: u32 = 12;
/// More of a prompt is not looked at, however long it is.
const HEARD_CHARS_MAX: usize = 2_000;
const ECHO_CHARS_MAX: usize = 160;

const ENGLISH: Voice = Voice { echo: "You wrote: ", topics: &ENGLISH_TOPICS, otherwise: &ENGLISH_OTHERWISE };

const ENGLISH_TOPICS: [Topic; 6] = [
    Topic {
        keywords: &["who", "yourself"],
        answer: "I am the demo model inside Tollgate. I run in the same process, need no provider's key and know a \
            handful of answers by heart. Put a real upstream into the configuration, and the same request with the \
            same key goes to it instead.",
    },
    Topic {
        keywords: &["code", "function", "program", "python", "rust"],
        answer: "Here is a small function, with the one case that is often forgotten:\n\n```python\ndef mean(numbers):\n    \
            if not numbers:\n        raise ValueError(\"the mean of nothing is undefined\")\n    \
            return sum(numbers) / len(numbers)\n```\n\nIt refuses an empty list instead of dividing by zero.",
    },
    Topic {
        keywords: &["poem", "haiku", "verse"],
        answer: "A toll at the gate,\ncounted to the last small coin:\nwords pass, one by one.",
    },
    Topic {
        keywords: &["joke", "funny"],
        answer: "Why did the token cross the gateway? To get to the other side of the bill.",
    },
    Topic {
        keywords: &["price", "prices", "cost", "costs", "bill", "billing", "tokens"],
        answer: "Every request is priced by its tokens: what you send, what comes back, and what the provider had \
            cached. Before it starts, the most it may cost is set aside; at the end the real amount is charged once \
            and the rest is free again. This answer costs next to nothing, and you will find it in your usage.",
    },
    Topic {
        keywords: &["hello", "hi", "hey", "test", "ping"],
        answer: "Hello! I am the demo model, and your request made the whole trip: the key was checked, the limits \
            counted, the cost set aside, and these words are being metered as they stream. What would you like to try?",
    },
];

const ENGLISH_OTHERWISE: [&str; 3] = [
    "I am only a demo, so I cannot think about that, but a real model would start here: say what the goal is, name what \
        is known, and take the smallest step that can be checked.",
    "A good answer depends on what you need it for. A real model would ask for one example, work it through, and then \
        look for the case that breaks it.",
    "As a demo I keep it short: your words arrived unchanged, they were counted, and this answer was streamed back to \
        you word by word.",
];

const CHINESE: Voice = Voice { echo: "你说的是：", topics: &CHINESE_TOPICS, otherwise: &CHINESE_OTHERWISE };

const CHINESE_TOPICS: [Topic; 3] = [
    Topic {
        keywords: &["你是谁", "介绍"],
        answer: "我是 Tollgate 自带的演示模型，就在网关进程里运行，不需要任何供应商的密钥。在配置里加上真实的上游，同样的请求和密钥就会发往真实模型。",
    },
    Topic {
        keywords: &["价格", "费用", "计费", "多少钱"],
        answer: "每个请求按词元计费：请求开始前先冻结最高可能的费用，结束后只按实际用量扣费一次，其余立即退回。您可以在用量页面看到这一次请求。",
    },
    Topic {
        keywords: &["你好", "您好", "测试"],
        answer: "你好！我是演示模型。你的请求已经走完了整条路：校验密钥、检查限额、冻结费用，现在正在逐字返回并计量。想试试什么？",
    },
];

const CHINESE_OTHERWISE: [&str; 2] = [
    "我只是演示模型，无法真正思考这个问题。真实的模型会先明确目标，列出已知条件，再迈出可以验证的最小一步。",
    "作为演示，我长话短说：你的话原样到达，已经计量，这段回答正在逐字返回。",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        pieces(text).collect()
    }

    #[test]
    fn a_token_is_a_word_or_a_wide_character() {
        assert_eq!(split("Hello, big  world\n"), ["Hello,", " big", "  world", "\n"]);
        assert_eq!(split("ab你好c d"), ["ab", "你", "好", "c", " d"]);
        assert_eq!(split(&"x".repeat(30)).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [12, 12, 6]);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn stops_and_limits_end_an_answer() {
        let end = |stops: &[&str], max| {
            let stops: Vec<_> = stops.iter().map(|stop| (*stop).to_owned()).collect();
            let said = say("one two three", &stops, max);
            (said.pieces.concat(), said.end)
        };
        assert_eq!(end(&[], None), ("one two three".into(), End::Done));
        assert_eq!(end(&[], Some(3)), ("one two three".into(), End::Done));
        assert_eq!(end(&[], Some(2)), ("one two".into(), End::Length));
        assert_eq!(end(&["", "three", " two"], Some(9)), ("one".into(), End::StopWord(" two".into())));
        assert_eq!(end(&["three"], Some(1)), ("one".into(), End::Length));
        assert_eq!(end(&["one"], None), (String::new(), End::StopWord("one".into())));
    }

    #[test]
    fn the_answer_suits_the_prompt() {
        assert!(reply("Hello there", 0).starts_with("Hello!"));
        assert!(reply("write a haiku, please", 0).contains("toll"));
        assert!(reply("你好", 0).starts_with("你好"));
        assert!(reply("Which way\n is north?", 0).starts_with("You wrote: “Which way is north?”"));
        assert_ne!(reply("Which way is north?", 0), reply("Which way is north?", 1));
        assert!(!reply(" ", 7).is_empty());
        assert!(reply(&"z".repeat(10_000), 0).len() < 1_000);
    }

    proptest! {
        #[test]
        fn pieces_are_the_text(text in any::<String>()) {
            prop_assert_eq!(pieces(&text).collect::<String>(), text.clone());
            prop_assert!(!reply(&text, 0).is_empty());
        }
    }
}
