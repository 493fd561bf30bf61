//! The code on our pages: files beside this one, filled in with this gateway's address and one of its models.
//!
//! They are whole programs, so that they can be pasted and run; a test takes them from the rendered page and does so.
//!
//! Always true: what is filled in is made of characters that need no quoting in any of the languages, so that no name
//! can break out of a string and become code.

use askama::Template;

use super::highlight::{Highlighted, KEY_PLACEHOLDER, Syntax};
use super::language::Language;

/// What the samples are filled in with.
#[derive(Clone, Debug)]
pub struct Filling {
    pub language: Language,
    /// `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// One model for each use, where one is sold.
    pub chat_model: Option<String>,
    pub embedding_model: Option<String>,
    pub image_model: Option<String>,
    pub speech_model: Option<String>,
    pub transcription_model: Option<String>,
    pub moderation_model: Option<String>,
    pub rerank_model: Option<String>,
}

/// One program in up to four languages, or one answer.
#[derive(Template)]
#[template(path = "sample.html")]
pub struct Sample {
    pub id: &'static str,
    pub l: Language,
    pub tabs: Vec<Tab>,
}

pub struct Tab {
    /// `python`: one for each language, so that a choice can be kept over all samples.
    pub id: &'static str,
    pub label: &'static str,
    /// What to call the file that it is pasted into.
    pub file: &'static str,
    pub code: Highlighted,
    pub chosen: bool,
}

/// A file as it is embedded: `topic`, `tab`, name, text.
type File = (&'static str, &'static str, &'static str, &'static str);

macro_rules! files {
    ($($topic:literal: $($tab:literal $file:literal),+;)*) => {
        &[$($(($topic, $tab, $file, include_str!(concat!("samples/", $tab, "/", $file)))),+),*]
    };
}

const FILES: &[File] = files! {
    "chat": "curl" "chat.sh", "python" "chat.py", "node" "chat.mjs", "go" "chat.go";
    "stream": "curl" "stream.sh", "python" "stream.py", "node" "stream.mjs", "go" "stream.go";
    "stream-by-hand": "python" "stream_by_hand.py", "node" "stream_by_hand.mjs";
    "completions": "curl" "completions.sh";
    "responses": "curl" "responses.sh";
    "messages": "curl" "messages.sh";
    "count-tokens": "curl" "count_tokens.sh";
    "embeddings": "curl" "embeddings.sh", "python" "embeddings.py", "node" "embeddings.mjs", "go" "embeddings.go";
    "images": "curl" "images.sh", "python" "images.py", "node" "images.mjs", "go" "images.go";
    "image-edits": "curl" "image_edits.sh";
    "speech": "curl" "speech.sh", "python" "speech.py", "node" "speech.mjs";
    "transcription": "curl" "transcription.sh", "python" "transcription.py", "node" "transcription.mjs";
    "moderations": "curl" "moderations.sh";
    "rerank": "curl" "rerank.sh";
    "cost": "curl" "cost.sh", "python" "cost.py", "node" "cost.mjs";
    "errors": "python" "errors.py", "node" "errors.mjs";
    "key": "curl" "key.sh";
    "models": "curl" "models.sh";
    "reply-chat": "replies" "chat.json";
    "reply-stream": "replies" "stream.txt";
    "reply-cut": "replies" "cut.txt";
    "reply-embeddings": "replies" "embeddings.json";
    "reply-images": "replies" "images.json";
    "reply-responses": "replies" "responses.json";
    "reply-messages": "replies" "messages.json";
    "reply-moderations": "replies" "moderations.json";
    "reply-rerank": "replies" "rerank.json";
    "reply-request": "replies" "request.json";
    "reply-key": "replies" "key.json";
    "reply-model": "replies" "model.json";
    "reply-error": "replies" "error.json";
    "reply-headers": "replies" "headers.txt";
    "codex": "recipes" "codex.toml";
    "claude-code": "recipes" "claude-code.sh";
    "langchain": "recipes" "langchain.py";
    "llamaindex": "recipes" "llamaindex.py";
    "ai-sdk": "recipes" "ai-sdk.mjs";
    "continue": "recipes" "continue.yaml";
    "aider": "recipes" "aider.sh";
};

/// The samples of one topic. `chosen` is the tab that the reader looked at last.
///
/// An unknown topic gives a sample without tabs; the tests ask for every topic that the templates name.
pub fn sample(topic: &'static str, filling: &Filling, chosen: &str) -> Sample {
    let files: Vec<&File> = FILES.iter().filter(|(of, ..)| *of == topic).collect();
    let chosen_at = files.iter().position(|(_, tab, ..)| *tab == chosen).unwrap_or(0);
    let tab = |(position, (_, tab, file, text)): (usize, &&File)| {
        let code = filling.fill(topic, text);
        Tab {
            id: tab,
            label: label(tab, file),
            file,
            code: Highlighted::new(syntax(file), &code),
            chosen: position == chosen_at,
        }
    };
    Sample { id: topic, l: filling.language, tabs: files.iter().enumerate().map(tab).collect() }
}

impl Filling {
    fn fill(&self, topic: &str, text: &str) -> String {
        let hello = self.language.say("Say hello.", "你好！");
        text.trim_end()
            .replace("{{base_url}}", &self.base_url)
            // Anthropic's clients add the `/v1` themselves.
            .replace("{{anthropic_url}}", self.base_url.trim_end_matches("/v1"))
            .replace("{{key}}", KEY_PLACEHOLDER)
            .replace("{{model}}", self.model(topic))
            .replace("{{hello}}", hello)
    }

    /// Where no model of this use is sold, a name that everybody knows shows what belongs there.
    fn model(&self, topic: &str) -> &str {
        let (model, known) = match topic {
            "embeddings" | "reply-embeddings" => (&self.embedding_model, "text-embedding-3-small"),
            "images" | "image-edits" | "reply-images" => (&self.image_model, "gpt-image-1"),
            "speech" => (&self.speech_model, "tts-1"),
            "transcription" => (&self.transcription_model, "whisper-1"),
            "moderations" | "reply-moderations" => (&self.moderation_model, "omni-moderation-latest"),
            "rerank" | "reply-rerank" => (&self.rerank_model, "rerank-v3.5"),
            _ => (&self.chat_model, "gpt-4o-mini"),
        };
        model.as_deref().unwrap_or(known)
    }
}

/// Whether a name can stand in every sample as it is.
pub fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@[]".contains(&byte))
}

fn syntax(file: &str) -> Syntax {
    match file.rsplit('.').next().unwrap_or_default() {
        "sh" => Syntax::Shell,
        // Strings and comments of TOML look like Python's.
        "py" | "toml" => Syntax::Python,
        "mjs" => Syntax::JavaScript,
        "go" => Syntax::Go,
        "json" => Syntax::Json,
        "yaml" => Syntax::Yaml,
        _ => Syntax::Wire,
    }
}

fn label(tab: &str, file: &'static str) -> &'static str {
    match tab {
        "curl" => "cURL",
        "python" => "Python",
        "node" => "Node",
        "go" => "Go",
        "replies" if file.ends_with(".json") => "JSON",
        "replies" if file == "headers.txt" => "HTTP",
        "replies" => "SSE",
        _ => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling() -> Filling {
        Filling {
            language: Language::English,
            base_url: "http://127.0.0.1:8080/v1".into(),
            chat_model: Some("demo-chat".into()),
            embedding_model: None,
            image_model: Some("demo-image".into()),
            speech_model: Some("demo-speech".into()),
            transcription_model: None,
            moderation_model: None,
            rerank_model: Some("demo-rerank".into()),
        }
    }

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        for (topic, ..) in FILES {
            for tab in sample(topic, &filling(), "node").tabs {
                let html = tab.code.to_string();
                let left = ["{{base_url", "{{anthropic_url", "{{key", "{{model"]
                    .into_iter()
                    .find(|place| html.contains(place));
                assert_eq!(left, None, "{topic} {}", tab.id);
            }
        }
    }

    #[test]
    fn the_configuration_file_is_yaml() {
        let (.., text) = FILES.iter().find(|(topic, ..)| *topic == "continue").unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(&filling().fill("continue", text)).unwrap();
        assert_eq!(yaml["models"][0]["apiBase"], "http://127.0.0.1:8080/v1");
        assert_eq!(yaml["models"][0]["model"], "demo-chat");
    }

    #[test]
    fn each_use_has_its_own_model() {
        let text = |topic| sample(topic, &filling(), "").tabs[0].code.to_string();
        assert!(text("chat").contains("demo-chat"));
        assert!(text("embeddings").contains("text-embedding-3-small"));
        assert!(text("images").contains("demo-image"));
        assert!(text("speech").contains("demo-speech"));
        assert!(text("transcription").contains("whisper-1"));
        assert!(text("image-edits").contains("demo-image"));
        assert!(text("moderations").contains("omni-moderation-latest"));
        assert!(text("rerank").contains("demo-rerank"));
        assert!(text("messages").contains("demo-chat"));
    }

    #[test]
    fn the_chosen_language_is_shown_where_there_is_one_else_the_first() {
        let chosen = |topic, tab: &str| {
            let sample = sample(topic, &filling(), tab);
            let mut chosen = sample.tabs.iter().filter(|tab| tab.chosen).map(|tab| tab.id);
            (chosen.next().unwrap(), chosen.next())
        };
        assert_eq!(chosen("chat", "go"), ("go", None));
        assert_eq!(chosen("errors", "go"), ("python", None));
        assert_eq!(chosen("chat", "<script>"), ("curl", None));
    }

    #[test]
    fn names_that_would_need_quoting_are_not_plain() {
        assert!(is_plain("org/model-1.5:free") && is_plain("http://[::1]:8080/v1"));
        for name in ["a\"b", "a'b", "a b", "a\\", "a$b", "a`b", "a\nb", "模型", "<b>", "${x}"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
