//! A configuration for a test: what matters to the test is said by it, everything else is ready-made.
//!
//! Models are `chat-model` (0.15 for a million tokens in, 0.075 cached, 0.60 out), `embed-model` (0.02) and
//! `image-model` (0.04 a picture). Every upstream knows them as `provider-chat`, `provider-embed`, `provider-image`.

use std::fmt::Write;

use super::upstream::Upstream;

#[derive(Clone)]
pub struct Config {
    edge: String,
    upstreams: Vec<(String, String)>,
    group: String,
    price: String,
    model_more: String,
    models_more: String,
    more: String,
    durability: &'static str,
}

impl Config {
    pub fn new() -> Self {
        Config {
            edge: String::new(),
            upstreams: Vec::new(),
            group: "{}".into(),
            price: PRICE.into(),
            model_more: String::new(),
            models_more: String::new(),
            more: String::new(),
            durability: "normal",
        }
    }

    /// These upstreams, tried in this order. Their names are `u0`, `u1`, and so on; the key of `u0` is `upstream-key-0`.
    pub fn chain(upstreams: &[&Upstream]) -> Self {
        upstreams.iter().fold(Self::new(), |config, upstream| config.upstream(upstream, ""))
    }

    /// One more upstream, with more lines of its own: `timeouts: {first_byte: 1s}, weight…`.
    pub fn upstream(self, upstream: &Upstream, more: &str) -> Self {
        let base_url = upstream.base_url();
        self.upstream_at(&base_url, more)
    }

    /// One more upstream, wherever it is.
    pub fn upstream_at(mut self, base_url: &str, more: &str) -> Self {
        let place = self.upstreams.len();
        let keys =
            if more.contains("api_keys") { String::new() } else { format!(", api_keys: [upstream-key-{place}]") };
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        let kind = if more.contains("kind: ") { "" } else { "kind: openai, " };
        let route = format!("priority: {place}");
        self.upstreams.push((format!("{{{kind}base_url: \"{base_url}\"{keys}{more}}}"), route));
        self
    }

    /// The last upstream's place among the others: `priority: 0, weight: 3`.
    pub fn routed(mut self, route: &str) -> Self {
        self.upstreams.last_mut().expect("there is an upstream").1 = route.into();
        self
    }

    /// Members of `edge` in flow style: `max_body: 1MiB, drain: 1s`.
    pub fn edge(mut self, members: &str) -> Self {
        self.edge = format!(", {members}");
        self
    }

    /// The group `default`: `{rpm: 5}`.
    pub fn group(mut self, group: &str) -> Self {
        self.group = group.into();
        self
    }

    /// What `chat-model` costs: `{input: "1", output: "2"}`.
    pub fn price(mut self, price: &str) -> Self {
        self.price = price.into();
        self
    }

    /// More lines of `chat-model`: `max_output_tokens: 100`.
    pub fn chat_model(mut self, line: &str) -> Self {
        let _ = writeln!(self.model_more, "    {line}");
        self
    }

    /// More models: whole lines, indented as they are to stand.
    pub fn models(mut self, lines: &str) -> Self {
        self.models_more.push_str(lines);
        self
    }

    /// More of everything: whole lines at the top.
    pub fn more(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self
    }

    /// Every commit survives a power loss; slower.
    pub fn durable(mut self) -> Self {
        self.durability = "full";
        self
    }

    pub fn to_yaml(&self) -> String {
        let mut yaml = format!(
            "edge: {{listen: [\"127.0.0.1:0\"]{}}}\nconsole: {{listen: \"127.0.0.1:0\"}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\nlogging: {{level: info, format: json}}\n\
             storage: {{url: \"sqlite:data/tollgate.db\", durability: {}}}\ngroups:\n  default: {}\nupstreams:\n",
            self.edge, self.durability, self.group
        );
        for (place, (upstream, _)) in self.upstreams.iter().enumerate() {
            let _ = writeln!(yaml, "  u{place}: {upstream}");
        }
        if self.upstreams.is_empty() {
            yaml.push_str("  u0: {kind: demo}\n");
        }
        yaml.push_str("models:\n");
        for (model, lines) in [
            ("chat", format!("    price: {}\n{}", self.price, self.model_more)),
            ("embed", "    price: {input: \"0.02\", output: \"0\"}\n".into()),
            ("image", "    images: {standard/1024x1024: \"0.04\"}\n".into()),
        ] {
            let _ = write!(yaml, "  {model}-model:\n    upstreams: [{}]\n{lines}", self.candidates(model));
        }
        yaml + &self.models_more + &self.more
    }

    fn candidates(&self, model: &str) -> String {
        if self.upstreams.is_empty() {
            return format!("{{name: u0, model: demo-{model}}}");
        }
        let candidate = |(place, (_, route)): (usize, &(String, String))| {
            format!("{{name: u{place}, model: provider-{model}, {route}}}")
        };
        self.upstreams.iter().enumerate().map(candidate).collect::<Vec<_>>().join(", ")
    }
}

pub const PRICE: &str = r#"{input: "0.15", cached_input: "0.075", output: "0.60"}"#;
