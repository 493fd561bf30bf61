//! Values that fit a JSON schema: for tools that are called and answers that must be JSON.
//!
//! Only as much of JSON Schema as requests use; what is not understood is answered with a string.
//!
//! Always true: depth and size of a value are bounded, whatever the schema refers to, and so is the work.

use serde_json::{Map, Value, json};

use super::envelope::Fault;
use super::words;

/// A function that may be called, as every dialect describes it.
pub struct Function<'a> {
    pub name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> Function<'a> {
    pub fn read(name: &'a Value, description: &'a Value, parameters: &'a Value) -> Result<Self, Fault> {
        let name = name.as_str().filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()));
        let name = name.ok_or_else(|| {
            Fault::invalid("tools", format!("A function in 'tools' needs a name of 1 to {NAME_BYTES_MAX} bytes."))
        })?;
        Ok(Function { name, description: description.as_str().unwrap_or_default(), parameters })
    }

    /// What its description costs in the prompt.
    pub fn tokens(&self) -> u64 {
        let parameters = if self.parameters.is_null() { 0 } else { words::count(&self.parameters.to_string()) };
        words::count(self.name) + words::count(self.description) + parameters
    }

    fn is_named_in(&self, lowercase: &str) -> bool {
        let name = self.name.to_lowercase();
        let spaced = name.replace(['_', '-'], " ");
        has_word(lowercase, &name) || has_word(lowercase, &spaced)
    }
}

/// Which of the functions the answer has to call.
pub enum Choice<'a> {
    Auto,
    Never,
    Any,
    Named(&'a str),
}

/// The function to be called: the one that is forced, or, where the model may choose, one that the prompt names.
pub fn choose<'f>(
    functions: &'f [Function<'f>],
    choice: &Choice<'_>,
    prompt: &str,
) -> Result<Option<&'f Function<'f>>, Fault> {
    if functions.len() > FUNCTIONS_MAX {
        return Err(Fault::invalid("tools", format!("There can be {FUNCTIONS_MAX} functions in 'tools' at most.")));
    }
    let prompt = prompt.to_lowercase();
    let named = || functions.iter().find(|function| function.is_named_in(&prompt));
    match choice {
        Choice::Never => Ok(None),
        Choice::Auto => Ok(named()),
        Choice::Any => Ok(named().or(functions.first())),
        Choice::Named(name) => {
            let forced = functions.iter().find(|function| function.name == *name);
            forced.map(Some).ok_or_else(|| Fault::invalid("tool_choice", format!("There is no tool '{name}'.")))
        }
    }
}

/// Scripts without spaces may stand right beside a name.
fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_alphanumeric();
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter))
}

/// A function's arguments are always an object.
pub fn arguments(function: &Function<'_>, prompt: &str) -> String {
    match fill(function.parameters, prompt) {
        Value::Object(object) => Value::Object(object).to_string(),
        _ => "{}".into(),
    }
}

/// A value for the schema, taken from the prompt where possible: its texts are what the prompt has between backticks.
pub fn fill(schema: &Value, prompt: &str) -> Value {
    let mut filler = Filler {
        root: schema,
        text: quoted(prompt).map_or_else(|| words::excerpt(prompt, STRING_CHARS_MAX), str::to_owned),
        number: first_number(prompt),
        bytes_left: VALUE_BYTES_MAX,
    };
    filler.fill(schema, DEPTH_MAX)
}

struct Filler<'a> {
    root: &'a Value,
    text: String,
    number: Option<u64>,
    /// A short schema that refers to itself in several places describes a value that fits into no memory.
    bytes_left: usize,
}

impl<'a> Filler<'a> {
    fn fill(&mut self, part: &'a Value, depth: u32) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        if !self.spend(VALUE_BYTES) {
            return Value::Null;
        }
        if let Some(reference) = part["$ref"].as_str() {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.fill(target, depth));
        }
        let ready = [&part["const"], &part["default"], &part["enum"][0]];
        if let Some(value) = ready.into_iter().find(|value| is_small(value)) {
            return value.clone();
        }
        let branches = [&part["anyOf"][0], &part["oneOf"][0], &part["allOf"][0]];
        if let Some(branch) = branches.into_iter().find(|branch| branch.is_object()) {
            return self.fill(branch, depth);
        }
        match kind(part) {
            "object" => Value::Object(self.fill_object(part, depth)),
            "array" if part["items"].is_object() => json!([self.fill(&part["items"], depth)]),
            "array" => json!([]),
            "integer" | "number" => self.number.map_or_else(|| smallest(part), Value::from),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ if self.spend(self.text.len()) => json!(self.text),
            _ => json!(""),
        }
    }

    /// The required properties, or all of them where none is.
    fn fill_object(&mut self, part: &'a Value, depth: u32) -> Map<String, Value> {
        let mut object = Map::new();
        let Some(properties) = part["properties"].as_object() else { return object };
        let required = part["required"].as_array().filter(|required| !required.is_empty());
        let names: &mut dyn Iterator<Item = &str> = match required {
            Some(required) => &mut required.iter().filter_map(Value::as_str),
            None => &mut properties.keys().map(String::as_str),
        };
        for name in names {
            if !self.spend(VALUE_BYTES + name.len()) {
                break;
            }
            if let Some(property) = properties.get(name) {
                object.insert(name.to_owned(), self.fill(property, depth));
            }
        }
        object
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(0);
        left.is_some()
    }
}

fn quoted(prompt: &str) -> Option<&str> {
    let (quoted, _) = prompt.split_once('`')?.1.split_once('`')?;
    (1..=QUOTED_BYTES_MAX).contains(&quoted.len()).then_some(quoted)
}

fn is_small(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= VALUE_BYTES,
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn kind(part: &Value) -> &str {
    let named = match &part["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    named.unwrap_or(if part["properties"].is_object() { "object" } else { "string" })
}

fn first_number(prompt: &str) -> Option<u64> {
    let digits = prompt.split(|character: char| !character.is_ascii_digit()).find(|run| !run.is_empty());
    digits.and_then(|digits| digits.parse().ok())
}

fn smallest(part: &Value) -> Value {
    if part["minimum"].is_number() { part["minimum"].clone() } else { json!(1) }
}

/// OpenAI's own, and Anthropic's limit of a name's length, which is the larger one.
const FUNCTIONS_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 128;
const DEPTH_MAX: u32 = 8;
const STRING_CHARS_MAX: usize = 40;
const QUOTED_BYTES_MAX: usize = 400;
/// What a value is counted as, apart from its name.
const VALUE_BYTES: usize = 64;
const VALUE_BYTES_MAX: usize = 16 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": ["null", "integer"]},
                "flags": {"type": "array", "items": {"type": "boolean"}},
                "place": {"$ref": "#/$defs/Place"},
                "either": {"anyOf": [{"type": "number", "minimum": 0.5}, {"type": "null"}]},
                "left_out": {"type": "string"},
            },
            "required": ["city", "unit", "days", "flags", "place", "either"],
            "$defs": {"Place": {"properties": {"inner": {"$ref": "#/$defs/Place"}}}},
        });
        let filled = fill(&schema, "Weather in Paris for 3 days");
        assert_eq!(filled["city"], "Weather in Paris for 3 days");
        assert_eq!(filled["unit"], "celsius");
        assert_eq!(filled["days"], 3);
        assert_eq!(filled["flags"], json!([true]));
        assert_eq!(filled["either"], 3);
        assert!(filled["place"]["inner"].is_object() && filled.get("left_out").is_none());
        assert_eq!(fill(&schema, "no digits")["either"], 0.5);
    }

    #[test]
    fn a_schema_that_multiplies_itself_ends() {
        let branch = json!({"$ref": "#"});
        let properties: Map<String, Value> = (0..1_000).map(|index| (index.to_string(), branch.clone())).collect();
        let filled = fill(&json!({"properties": properties}), "prompt");
        assert!(filled.is_object() && filled.to_string().len() < 2 * VALUE_BYTES_MAX);
        assert_eq!(fill(&json!({"$ref": "#"}), ""), Value::Null);
        assert_eq!(fill(&json!({"default": "x".repeat(1_000)}), "short"), "short");
    }

    #[test]
    fn a_text_is_what_the_prompt_quotes() {
        let schema = json!({"properties": {"command": {"type": "string"}}});
        assert_eq!(fill(&schema, "Run `ls  -l | head` now")["command"], "ls  -l | head");
        assert_eq!(fill(&schema, "Run `ls now")["command"], "Run `ls now");
        assert_eq!(fill(&schema, "Run `` now")["command"], "Run `` now");
        assert_eq!(fill(&schema, &format!("`{}`", "x".repeat(401)))["command"].as_str().unwrap().len(), 40 + "…".len());
    }

    #[test]
    fn a_tool_is_called_if_forced_or_named() {
        let object = json!({"type": "object"});
        let function = |name| Function { name, description: "", parameters: &object };
        let functions = [function("get_time"), function("get_weather"), function("Read")];
        let chosen = |choice, prompt| choose(&functions, &choice, prompt).unwrap().map(|function| function.name);
        assert_eq!(chosen(Choice::Auto, "hello"), None);
        assert_eq!(chosen(Choice::Auto, "please Get Weather"), Some("get_weather"));
        assert_eq!(chosen(Choice::Auto, "请用get_weather查询"), Some("get_weather"));
        assert_eq!(chosen(Choice::Auto, "are you already done?"), None);
        assert_eq!(chosen(Choice::Never, "get_weather"), None);
        assert_eq!(chosen(Choice::Any, "hello"), Some("get_time"));
        assert_eq!(chosen(Choice::Any, "use get_weather"), Some("get_weather"));
        assert_eq!(chosen(Choice::Named("get_weather"), "hello"), Some("get_weather"));
        assert!(choose(&functions, &Choice::Named("other"), "hello").is_err());
        assert_eq!(arguments(&functions[0], "now"), "{}");
        assert!(Function::read(&json!("n".repeat(129)), &Value::Null, &Value::Null).is_err());
    }
}
