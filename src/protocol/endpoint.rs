//! From method and raw path to what is asked for.
//!
//! The path is judged as it stood on the wire and matched exactly, never cleaned up first: a gateway and an upstream
//! that tidy a path differently (`/v1/../x`, `//`, `%2e`) are two programs that disagree on what was authorised.
//!
//! Always true: only [`Route::Model`] carries decoded text, and that text is for a look-up, never for a path.

use std::borrow::Cow;

use crate::core::api_error::ApiError;
use crate::core::catalog::Dialect;

/// A POST that reaches an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// How many tokens the input of such a message has: nothing is generated.
    CountTokens,
    Embeddings,
    ImagesGenerations,
    /// New pictures from old ones.
    ImagesEdits,
    /// Text to sound.
    AudioSpeech,
    /// Sound to text.
    AudioTranscriptions,
    Moderations,
    /// Documents in the order of what they have to do with a query.
    Rerank,
}

/// What else than tokens an answer may be sold by; where the model's price names it, that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing else: tokens, by estimate where they are not reported.
    Tokens,
    /// Pictures by the piece.
    Pictures,
    /// The characters that were to be spoken.
    Characters,
    /// The length of what was listened to.
    AudioTime,
    SearchUnits,
    /// What the upstream reports, and nothing if it reports nothing: providers give it away.
    Reported,
    /// Nothing is ever charged.
    Nothing,
}

impl Endpoint {
    pub const ALL: [Endpoint; 12] = [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Responses,
        Endpoint::Messages,
        Endpoint::CountTokens,
        Endpoint::Embeddings,
        Endpoint::ImagesGenerations,
        Endpoint::ImagesEdits,
        Endpoint::AudioSpeech,
        Endpoint::AudioTranscriptions,
        Endpoint::Moderations,
        Endpoint::Rerank,
    ];

    /// The name in metrics and records.
    pub fn label(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "chat_completions",
            Endpoint::Completions => "completions",
            Endpoint::Responses => "responses",
            Endpoint::Messages => "messages",
            Endpoint::CountTokens => "count_tokens",
            Endpoint::Embeddings => "embeddings",
            Endpoint::ImagesGenerations => "images_generations",
            Endpoint::ImagesEdits => "images_edits",
            Endpoint::AudioSpeech => "audio_speech",
            Endpoint::AudioTranscriptions => "audio_transcriptions",
            Endpoint::Moderations => "moderations",
            Endpoint::Rerank => "rerank",
        }
    }

    /// The endpoint's own path: below our base paths, and below an upstream's base URL.
    pub fn upstream_path(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "/chat/completions",
            Endpoint::Completions => "/completions",
            Endpoint::Responses => "/responses",
            Endpoint::Messages => "/messages",
            Endpoint::CountTokens => "/messages/count_tokens",
            Endpoint::Embeddings => "/embeddings",
            Endpoint::ImagesGenerations => "/images/generations",
            Endpoint::ImagesEdits => "/images/edits",
            Endpoint::AudioSpeech => "/audio/speech",
            Endpoint::AudioTranscriptions => "/audio/transcriptions",
            Endpoint::Moderations => "/moderations",
            Endpoint::Rerank => "/rerank",
        }
    }

    /// Whether a client may ask for its answer as a stream.
    pub fn streams(self) -> bool {
        matches!(
            self,
            Endpoint::ChatCompletions
                | Endpoint::Completions
                | Endpoint::Responses
                | Endpoint::Messages
                | Endpoint::AudioTranscriptions
        )
    }

    /// Whether its body is a form, because a file is uploaded with it; it is JSON otherwise.
    pub fn takes_form(self) -> bool {
        matches!(self, Endpoint::ImagesEdits | Endpoint::AudioTranscriptions)
    }

    /// Whether its answer may be something else than JSON or events: sound, or the bare text of a recording.
    pub fn answers_plainly(self) -> bool {
        matches!(self, Endpoint::AudioSpeech | Endpoint::AudioTranscriptions)
    }

    /// Whether pictures come of it.
    pub fn makes_pictures(self) -> bool {
        matches!(self, Endpoint::ImagesGenerations | Endpoint::ImagesEdits)
    }

    /// The rule by which it is charged: every endpoint has one.
    pub fn measure(self) -> Measure {
        match self {
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::Embeddings => Measure::Tokens,
            Endpoint::ImagesGenerations | Endpoint::ImagesEdits => Measure::Pictures,
            Endpoint::AudioSpeech => Measure::Characters,
            Endpoint::AudioTranscriptions => Measure::AudioTime,
            Endpoint::Rerank => Measure::SearchUnits,
            Endpoint::Moderations => Measure::Reported,
            Endpoint::CountTokens => Measure::Nothing,
        }
    }

    /// In which of the chat dialects it speaks. None: it is no chat, and is never converted.
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Endpoint::ChatCompletions => Some(Dialect::Chat),
            Endpoint::Responses => Some(Dialect::Responses),
            Endpoint::Messages | Endpoint::CountTokens => Some(Dialect::Messages),
            _ => None,
        }
    }

    /// Where a dialect is spoken.
    pub fn of(dialect: Dialect) -> Endpoint {
        match dialect {
            Dialect::Chat => Endpoint::ChatCompletions,
            Dialect::Responses => Endpoint::Responses,
            Dialect::Messages => Endpoint::Messages,
        }
    }

    /// Whether its stream ends with usage only if `stream_options` asks for that.
    pub fn takes_stream_options(self) -> bool {
        matches!(self, Endpoint::ChatCompletions | Endpoint::Completions)
    }

    /// Whether nothing is ever charged for it.
    pub fn is_free(self) -> bool {
        self.measure() == Measure::Nothing
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Proxy(Endpoint),
    Models,
    /// The model's id, decoded: clients write `org/model` as it is or as `org%2Fmodel`.
    Model(Cow<'a, str>),
    Key,
    /// A response that an upstream may have stored, and what can be asked of it. Nothing is stored here.
    StoredResponse,
    /// A request's id, as it was written.
    Request(&'a str),
    BillingSubscription,
    BillingUsage,
    Health,
    Ready,
    /// A browser's `OPTIONS` on a path that exists.
    Preflight,
}

impl Route<'_> {
    fn method(&self) -> &'static str {
        match self {
            Route::Proxy(_) => "POST",
            Route::Preflight => "OPTIONS",
            _ => "GET",
        }
    }

    /// A stored response may be asked for, deleted and cancelled: every way to ask gets the same clear answer.
    fn allows(&self, method: &str) -> bool {
        method == self.method() || *self == Route::StoredResponse && matches!(method, "POST" | "DELETE")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    NotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    /// A path that no honest client writes.
    Malformed,
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> ApiError {
        match error {
            RouteError::NotFound => ApiError::NotFound,
            RouteError::MethodNotAllowed { allow } => ApiError::MethodNotAllowed { allow },
            RouteError::Malformed => ApiError::invalid("The request's path is malformed."),
        }
    }
}

/// What `method` on `raw_path` asks for. `raw_path` is the path of the request line as it came, without the query.
///
/// Under each base path a doubled version is tolerated (`/v1/v1/models`, `/api/v1/v1/models`), because clients add `/v1`
/// to an address that has it.
///
/// # Errors
/// [`RouteError`]; a malformed path before an unknown one, an unknown one before a wrong method.
pub fn resolve<'a>(method: &str, raw_path: &'a str, base_paths: &[String]) -> Result<Route<'a>, RouteError> {
    let found = find(raw_path, base_paths);
    // A path that is ours to the letter is well formed.
    if !matches!(found, Some(Route::Proxy(_))) && !is_well_formed(raw_path) {
        return Err(RouteError::Malformed);
    }
    let route = match found {
        Some(Route::Proxy(endpoint)) => Route::Proxy(endpoint),
        Some(Route::Model(id)) => Route::Model(decode(id)?),
        // A slash in disguise has its one honest use in a model's id.
        _ if has_encoded_slash(raw_path) => return Err(RouteError::Malformed),
        Some(route) => route,
        None => return Err(RouteError::NotFound),
    };
    match method {
        "OPTIONS" => Ok(Route::Preflight),
        _ if route.allows(method) => Ok(route),
        _ => Err(RouteError::MethodNotAllowed { allow: route.method() }),
    }
}

fn find<'a>(path: &'a str, base_paths: &[String]) -> Option<Route<'a>> {
    match path {
        "/healthz" => Some(Route::Health),
        "/readyz" => Some(Route::Ready),
        _ => find_billing(path).or_else(|| base_paths.iter().find_map(|base| find_under(base, path))),
    }
}

fn find_under<'a>(base: &str, path: &'a str) -> Option<Route<'a>> {
    let rest = below(base, path)?;
    find_below_base(rest)
        .or_else(|| below(base, rest).and_then(find_below_base))
        .or_else(|| below("/v1", rest).and_then(find_below_base))
}

/// What follows `base`, beginning with its slash.
fn below<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(base.trim_end_matches('/')).filter(|rest| rest.starts_with('/'))
}

fn find_below_base(path: &str) -> Option<Route<'_>> {
    match path {
        "/models" => return Some(Route::Models),
        "/key" => return Some(Route::Key),
        _ => {}
    }
    if let Some(endpoint) = Endpoint::ALL.into_iter().find(|endpoint| endpoint.upstream_path() == path) {
        return Some(Route::Proxy(endpoint));
    }
    if let Some(id) = path.strip_prefix("/models/").filter(|id| !id.is_empty()) {
        return Some(Route::Model(Cow::Borrowed(id)));
    }
    if path.strip_prefix("/responses/").is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/')) {
        return Some(Route::StoredResponse);
    }
    if let Some(id) = path.strip_prefix("/requests/").filter(|id| !id.is_empty() && !id.contains('/')) {
        return Some(Route::Request(id));
    }
    find_billing(path)
}

/// Chat clients of the one-api family ask for these, under a base path or at the root.
fn find_billing(path: &str) -> Option<Route<'static>> {
    match path {
        "/dashboard/billing/subscription" => Some(Route::BillingSubscription),
        "/dashboard/billing/usage" => Some(Route::BillingUsage),
        _ => None,
    }
}

/// Printable ASCII from the root, with nothing that another program might read differently.
fn is_well_formed(path: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b';';
    path.starts_with('/')
        && path.bytes().all(legal)
        && has_plain_segments(path)
        && path.split('%').skip(1).all(|after| encoded_byte(after).is_some_and(is_harmless))
}

fn has_plain_segments(path: &str) -> bool {
    !path.contains("//") && !path.split('/').any(|segment| segment == "." || segment == "..")
}

/// The byte whose two hexadecimal digits stand at the beginning of `after`, which follows a percent sign.
fn encoded_byte(after: &str) -> Option<u8> {
    let digits = after.get(..2)?;
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

fn is_harmless(byte: u8) -> bool {
    !byte.is_ascii_control() && byte != b'.' && byte != b'\\'
}

fn has_encoded_slash(path: &str) -> bool {
    path.split('%').skip(1).any(|after| encoded_byte(after) == Some(b'/'))
}

fn decode(id: Cow<'_, str>) -> Result<Cow<'_, str>, RouteError> {
    let mut pieces = id.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for after in pieces {
        bytes.push(encoded_byte(after).ok_or(RouteError::Malformed)?);
        bytes.extend_from_slice(&after.as_bytes()[2..]);
    }
    if bytes.len() == id.len() {
        return Ok(id);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| RouteError::Malformed)?;
    // Decoding may have put dot segments together, or control characters beyond ASCII.
    if !has_plain_segments(&decoded) || decoded.chars().any(char::is_control) {
        return Err(RouteError::Malformed);
    }
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bases() -> Vec<String> {
        vec!["/v1".into(), "/api/v1".into()]
    }

    fn get(path: &str) -> Result<Route<'_>, RouteError> {
        resolve("GET", path, &bases())
    }

    fn post(path: &str) -> Result<Route<'_>, RouteError> {
        resolve("POST", path, &bases())
    }

    #[test]
    fn every_endpoint_answers_under_every_base_path_also_doubled() {
        for base in ["/v1", "/api/v1", "/v1/v1", "/api/v1/v1", "/api/v1/api/v1"] {
            for endpoint in Endpoint::ALL {
                let path = format!("{base}{}", endpoint.upstream_path());
                assert_eq!(post(&path), Ok(Route::Proxy(endpoint)), "{path}");
            }
            assert_eq!(get(&format!("{base}/models")), Ok(Route::Models));
            assert_eq!(get(&format!("{base}/key")), Ok(Route::Key));
            assert_eq!(get(&format!("{base}/requests/req_1")), Ok(Route::Request("req_1")));
            assert_eq!(get(&format!("{base}/dashboard/billing/usage")), Ok(Route::BillingUsage));
        }
        assert_eq!(get("/dashboard/billing/subscription"), Ok(Route::BillingSubscription));
        assert_eq!(get("/healthz"), Ok(Route::Health));
        assert_eq!(get("/readyz"), Ok(Route::Ready));
    }

    #[test]
    fn labels_are_distinct() {
        let labels: std::collections::HashSet<_> = Endpoint::ALL.iter().map(|endpoint| endpoint.label()).collect();
        assert_eq!(labels.len(), Endpoint::ALL.len());
    }

    #[test]
    fn matches_exactly_or_not_at_all() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/v1/models/",
            "/v1/chat",
            "/v1/chat/completions/",
            "/V1/chat/completions",
            "/v1/Chat/completions",
            "/v1x/models",
            "/v2/models",
            "/v1/v1/v1/models",
            "/chat/completions",
            "/models",
            "/key",
            "/v1/healthz",
            "/v1/readyz",
            "/v1/requests/",
            "/v1/requests/a/b",
            "/v1/chat%20completions",
            "/v1/%63hat/completions",
        ] {
            assert_eq!(get(path), Err(RouteError::NotFound), "{path}");
            assert_eq!(post(path), Err(RouteError::NotFound), "{path}");
        }
    }

    #[test]
    fn a_path_that_could_be_read_twice_is_malformed() {
        for path in [
            "",
            "v1/models",
            "*",
            "http://x/v1/models",
            "/v1/../models",
            "/v1/./models",
            "/v1/models/..",
            "/v1/%2e%2e/models",
            "/v1/%2E/models",
            "/v1%2Fmodels",
            "/v1%2fmodels",
            "/v1/requests/a%2Fb",
            "/v1\\models",
            "/v1%5cmodels",
            "/v1%5Cmodels",
            "//v1/models",
            "/v1//models",
            "/v1/models//",
            "/v1/models;a=b",
            "/v1/models ",
            "/v1/models\n",
            "/v1/models\u{7f}",
            "/v1/models/模型",
            "/v1/models/%",
            "/v1/models/%4",
            "/v1/models/%zz",
            "/v1/models/%+1",
            "/v1/models/%00",
            "/v1/models/%0d%0a",
            "/v1/models/%2e%2e",
            "/v1/models/a%2F..%2Fb",
            "/v1/models/..%2Fb",
            "/v1/models/a%2F%2Fb",
            "/v1/models/a%5cb",
            "/v1/models/%ff",
            "/v1/models/%c2%85",
        ] {
            assert_eq!(get(path), Err(RouteError::Malformed), "{path}");
        }
    }

    #[test]
    fn a_model_id_may_hold_slashes_and_colons_raw_or_encoded() {
        let id = |path| match get(path) {
            Ok(Route::Model(id)) => id.into_owned(),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(id("/v1/models/gpt-4o-mini"), "gpt-4o-mini");
        assert_eq!(id("/v1/models/org/model:free"), "org/model:free");
        assert_eq!(id("/v1/models/org%2Fmodel%3Afree"), "org/model:free");
        assert_eq!(id("/v1/v1/models/org%2fm"), "org/m");
        assert_eq!(id("/v1/models/%E6%A8%A1%E5%9E%8B"), "模型");
        // Decoded once, not twice.
        assert_eq!(id("/v1/models/a%252e"), "a%2e");
        assert!(matches!(get("/v1/models/plain"), Ok(Route::Model(Cow::Borrowed(_)))));
    }

    #[test]
    fn methods_are_exact_and_preflights_are_answered_where_something_is() {
        assert_eq!(get("/v1/chat/completions"), Err(RouteError::MethodNotAllowed { allow: "POST" }));
        assert_eq!(post("/v1/models"), Err(RouteError::MethodNotAllowed { allow: "GET" }));
        assert_eq!(post("/v1/models/x"), Err(RouteError::MethodNotAllowed { allow: "GET" }));
        for method in ["post", "HEAD", "PUT", "", "GET "] {
            let refused = resolve(method, "/v1/embeddings", &bases());
            assert_eq!(refused, Err(RouteError::MethodNotAllowed { allow: "POST" }), "{method}");
        }
        assert_eq!(resolve("OPTIONS", "/v1/embeddings", &bases()), Ok(Route::Preflight));
        assert_eq!(resolve("OPTIONS", "/v1/models/a%2Fb", &bases()), Ok(Route::Preflight));
        assert_eq!(resolve("OPTIONS", "/nothing", &bases()), Err(RouteError::NotFound));
        assert_eq!(resolve("OPTIONS", "/v1/../models", &bases()), Err(RouteError::Malformed));
    }

    #[test]
    fn stored_responses_are_known_and_nothing_beside_them() {
        for (method, path) in [
            ("GET", "/v1/responses/resp_1"),
            ("DELETE", "/v1/responses/resp_1"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("GET", "/v1/responses/resp_1/input_items"),
        ] {
            assert_eq!(resolve(method, path, &bases()), Ok(Route::StoredResponse), "{method} {path}");
        }
        assert_eq!(get("/v1/responses/"), Err(RouteError::NotFound));
        assert_eq!(resolve("PUT", "/v1/responses/r", &bases()), Err(RouteError::MethodNotAllowed { allow: "GET" }));
        assert_eq!(resolve("DELETE", "/v1/models", &bases()), Err(RouteError::MethodNotAllowed { allow: "GET" }));
    }

    #[test]
    fn a_base_path_at_the_root_works() {
        let root = [String::from("/")];
        assert_eq!(resolve("GET", "/models", &root), Ok(Route::Models));
        assert_eq!(resolve("GET", "/v1/models", &root), Ok(Route::Models));
    }

    proptest! {
        #[test]
        fn no_path_panics_and_what_is_found_is_clean(path in "(/v1)?(/models)?/[ -~é]{0,12}(%[0-9a-fA-F]{2}|[./%]){0,3}") {
            if let Ok(Route::Model(id)) = get(&path) {
                prop_assert!(!id.contains('\\') && !id.contains("//") && !id.chars().any(char::is_control));
                prop_assert!(!id.split('/').any(|segment| segment == ".."));
            }
        }
    }
}
