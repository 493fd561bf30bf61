//! One turn of a conversation: what is asked, and what the demo answers to it, the same in every dialect.
//!
//! A dialect reads its request into a [`Turn`] and dresses the [`Answer`]. So a conversation that is converted from one
//! dialect to another gets the same answer, and counts the same tokens.

use serde_json::{Value, json};

use super::envelope::Fault;
use super::schema::{self, Choice, Function};
use super::words;

pub struct Turn<'a> {
    /// What a person said last.
    pub prompt: &'a str,
    /// What the tools have just said: empty where the last word is a person's.
    pub tool_answers: Vec<&'a str>,
    pub functions: Vec<Function<'a>>,
    pub choice: Choice<'a>,
    pub format: Format<'a>,
    pub stops: &'a [String],
    pub tokens_max: Option<u64>,
}

/// How the text of an answer has to look.
pub enum Format<'a> {
    Text,
    Object,
    Schema(&'a Value),
}

pub enum Answer {
    Text(words::Said),
    Call { name: String, arguments: String },
}

impl Answer {
    pub fn tokens(&self) -> u64 {
        match self {
            Answer::Text(said) => said.pieces.len() as u64,
            Answer::Call { name, arguments } => words::count(name) + words::count(arguments),
        }
    }
}

impl Turn<'_> {
    /// `variant` tells several answers to one turn apart.
    pub fn answer(&self, variant: usize) -> Result<Answer, Fault> {
        // A tool that has just answered is not called again, unless it is forced.
        let heard = match self.tool_answers.is_empty() {
            true => words::excerpt(self.prompt, HEARD_CHARS_MAX),
            false => String::new(),
        };
        Ok(match schema::choose(&self.functions, &self.choice, &heard)? {
            Some(function) => {
                Answer::Call { name: function.name.to_owned(), arguments: schema::arguments(function, self.prompt) }
            }
            None => Answer::Text(words::say(&self.text(variant), self.stops, self.tokens_max)),
        })
    }

    fn text(&self, variant: usize) -> String {
        let text = match self.tool_answers.as_slice() {
            [] => words::reply(self.prompt, variant),
            answers => format!("The tool answered: {}", words::excerpt(&answers.join("\n"), TOOL_CHARS_MAX)),
        };
        match self.format {
            Format::Text => text,
            Format::Object => json!({"answer": text}).to_string(),
            Format::Schema(schema) => schema::fill(schema, self.prompt).to_string(),
        }
    }
}

/// The content of a message: a text, or parts that hold texts and pictures.
#[derive(Clone, Copy)]
pub struct Content<'a>(pub &'a Value);

impl<'a> Content<'a> {
    pub fn parts(self) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.0.as_array().into_iter().flatten()
    }

    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        self.0.as_str().into_iter().chain(self.parts().filter_map(|part| part["text"].as_str()))
    }

    /// Programs that speak for a person put reminders of their own before the person's words.
    pub fn last_text(self) -> Option<&'a str> {
        self.texts().filter(|text| !text.trim().is_empty()).last()
    }

    /// What a tool answers with these contents.
    pub fn answer(self) -> &'a str {
        self.last_text().unwrap_or(if self.pictures() > 0 { "a picture" } else { "nothing" })
    }

    pub fn tokens(self) -> u64 {
        self.texts().map(words::count).sum::<u64>() + self.pictures() * PICTURE_TOKENS
    }

    fn pictures(self) -> u64 {
        let is_picture = |part: &&Value| matches!(part["type"].as_str(), Some("image_url" | "input_image" | "image"));
        self.parts().filter(is_picture).count() as u64
    }
}

/// A conversation's tokens: its messages' own, what stands around each, what describes the functions, and what comes
/// before the answer.
pub fn prompt_tokens(messages: impl Iterator<Item = u64>, functions: &[Function<'_>]) -> u64 {
    let functions: u64 = functions.iter().map(Function::tokens).sum();
    messages.map(|tokens| tokens + MESSAGE_TOKENS).sum::<u64>() + functions + REPLY_TOKENS
}

/// What OpenAI's chat format adds around each message, and before the answer.
const MESSAGE_TOKENS: u64 = 3;
const REPLY_TOKENS: u64 = 3;
/// A picture at low detail, as OpenAI counts it.
const PICTURE_TOKENS: u64 = 85;
/// Where a function's name is looked for.
const HEARD_CHARS_MAX: usize = 2_000;
const TOOL_CHARS_MAX: usize = 400;
