//! What the documentation lists: endpoints, parameters, how a request can end, and what to type into which client.

use super::language::{Language, Rich};
use crate::protocol::endpoint::Endpoint;

pub struct EndpointRow {
    pub method: &'static str,
    /// Below the base path.
    pub path: &'static str,
    pub purpose: &'static str,
    /// The section that describes it.
    pub section: &'static str,
}

/// Everything that a client can call; `docs` in `tests/it` asks the router for each.
pub fn endpoints(l: Language) -> Vec<EndpointRow> {
    let row = |method, path, section, purpose| EndpointRow { method, path, purpose, section };
    let posts = Endpoint::ALL.into_iter().map(|endpoint| {
        let (section, purpose) = match endpoint {
            Endpoint::ChatCompletions => ("chat", l.say("Chat, streamed or whole", "对话，支持流式")),
            Endpoint::Completions => ("chat", l.say("Text completion (legacy)", "文本补全（旧接口）")),
            Endpoint::Responses => ("chat", l.say("OpenAI Responses, streamed or whole", "OpenAI Responses，支持流式")),
            Endpoint::Messages => {
                ("chat", l.say("Anthropic Messages, streamed or whole", "Anthropic Messages，支持流式"))
            }
            Endpoint::CountTokens => {
                ("chat", l.say("Tokens of a message's input, free of charge", "计算 Messages 输入的 token 数，免费"))
            }
            Endpoint::Embeddings => ("embeddings", l.say("Texts to vectors", "文本嵌入")),
            Endpoint::ImagesGenerations => ("images", l.say("Text to images", "文生图")),
            Endpoint::ImagesEdits => ("images", l.say("Images to images: a form with files", "图像编辑（表单上传）")),
            Endpoint::AudioSpeech => ("audio", l.say("Text to speech", "语音合成")),
            Endpoint::AudioTranscriptions => {
                ("audio", l.say("Speech to text: a form with a file", "语音转文字（表单上传）"))
            }
            Endpoint::Moderations => ("more", l.say("Whether texts or images are harmful", "内容审核")),
            Endpoint::Rerank => ("more", l.say("Documents, the most relevant first", "文档重排序")),
        };
        row("POST", endpoint.upstream_path(), section, purpose)
    });
    let gets = [
        row("GET", "/models", "models", l.say("Models of this key, with prices", "此密钥可用的模型与价格")),
        row("GET", "/models/{id}", "models", l.say("One model", "单个模型")),
        row("GET", "/key", "key", l.say("The key itself: limits, budget, balance", "密钥自身：限制、预算、余额")),
        row("GET", "/requests/{id}", "cost", l.say("What one request cost", "单个请求的费用")),
        row(
            "GET",
            "/dashboard/billing/subscription",
            "clients",
            l.say("Balance, for chat clients", "余额（聊天客户端使用）"),
        ),
        row(
            "GET",
            "/dashboard/billing/usage",
            "clients",
            l.say("Spend, for chat clients", "已用额度（聊天客户端使用）"),
        ),
    ];
    posts.chain(gets).collect()
}

/// A field of a request's body.
pub struct Parameter {
    pub name: &'static str,
    pub kind: &'static str,
    pub required: bool,
    english: &'static str,
    chinese: &'static str,
}

impl Parameter {
    pub fn words(&self, l: &Language) -> Rich<'static> {
        Rich(match l {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        })
    }
}

const fn needed(name: &'static str, kind: &'static str, english: &'static str, chinese: &'static str) -> Parameter {
    Parameter { name, kind, required: true, english, chinese }
}

const fn optional(name: &'static str, kind: &'static str, english: &'static str, chinese: &'static str) -> Parameter {
    Parameter { name, kind, required: false, english, chinese }
}

pub const CHAT: &[Parameter] = &[
    needed(
        "model",
        "string",
        "A model's name or alias, from [the list](/models).",
        "模型名称或别名，见[模型列表](/models)。",
    ),
    needed(
        "messages",
        "array",
        "The conversation: objects with `role` (`system`, `user`, `assistant`, `tool`) and `content`, a text or parts with text and images.",
        "对话内容：每项含 `role`（`system`、`user`、`assistant`、`tool`）和 `content`（文本，或由文本与图片组成的数组）。",
    ),
    optional(
        "stream",
        "boolean",
        "Send the answer piece by piece, as [events](#streaming).",
        "以[事件流](#streaming)逐段返回。",
    ),
    optional(
        "stream_options.include_usage",
        "boolean",
        "End the stream with an event that counts the tokens.",
        "在流的末尾附加一个包含 token 用量的事件。",
    ),
    optional(
        "max_completion_tokens",
        "integer",
        "The most tokens to answer with. It also bounds what is set aside from your balance. `max_tokens` is understood too.",
        "最多生成多少 token，同时决定预留金额的上限。也接受 `max_tokens`。",
    ),
    optional("temperature, top_p", "number", "How freely words are chosen.", "采样的随机程度。"),
    optional("n", "integer", "How many answers. Each is charged.", "生成几个回答，每个都计费。"),
    optional("stop", "string, array", "Texts that end the answer.", "遇到这些文本即停止。"),
    optional("tools, tool_choice", "array, object", "Functions that the model may call.", "模型可以调用的函数。"),
    optional(
        "response_format",
        "object",
        "JSON, or JSON after a schema, where the model can.",
        "要求输出 JSON 或符合 schema 的 JSON（取决于模型）。",
    ),
    optional(
        "service_tier",
        "string",
        "Where a model has prices for it: `flex`, `priority`.",
        "服务等级，如 `flex`、`priority`（取决于模型的价格表）。",
    ),
];

pub const EMBEDDINGS: &[Parameter] = &[
    needed("model", "string", "A model for embeddings.", "嵌入模型。"),
    needed(
        "input",
        "string, array",
        "One text or many. Each gets a vector, in order.",
        "一段或多段文本，按顺序各得一个向量。",
    ),
    optional("dimensions", "integer", "The length of the vectors, where the model can.", "向量的维数（取决于模型）。"),
    optional("encoding_format", "string", "`float` or `base64`.", "`float` 或 `base64`。"),
];

pub const IMAGES: &[Parameter] = &[
    needed("model", "string", "A model for images.", "图像模型。"),
    needed("prompt", "string", "What to draw.", "画面描述。"),
    optional("n", "integer", "How many pictures. Each is charged.", "生成几张，每张都计费。"),
    optional(
        "size",
        "string",
        "Such as `1024x1024`. It decides the price where [the list](/models) says so.",
        "如 `1024x1024`。价格可能随尺寸变化，见[价格表](/models)。",
    ),
    optional(
        "quality",
        "string",
        "Such as `standard` or `hd`. It decides the price too.",
        "如 `standard`、`hd`，同样影响价格。",
    ),
];

pub const SPEECH: &[Parameter] = &[
    needed("model", "string", "A model for speech.", "语音合成模型。"),
    needed(
        "input",
        "string",
        "What to say. Its characters are the price where [the list](/models) says so.",
        "要朗读的文本。价格可能按字符数计，见[价格表](/models)。",
    ),
    optional("voice", "string", "Which voice; the names are the model's.", "音色，名称取决于模型。"),
    optional(
        "response_format",
        "string",
        "Such as `mp3` or `wav`, where the model can.",
        "如 `mp3`、`wav`（取决于模型）。",
    ),
    optional(
        "stream_format",
        "string",
        "`sse` sends the sound as events, the last of which counts the tokens.",
        "设为 `sse` 则以事件返回音频，最后一个事件含 token 用量。",
    ),
];

pub const TRANSCRIPTION: &[Parameter] = &[
    needed("file", "file", "The recording, with its name.", "录音文件（含文件名）。"),
    needed(
        "model",
        "string",
        "A model for transcriptions. Once, and as text.",
        "语音识别模型，只能出现一次，且为文本字段。",
    ),
    optional(
        "response_format",
        "string",
        "`json`, `verbose_json`, `text`, `srt` or `vtt`, where the model can.",
        "`json`、`verbose_json`、`text`、`srt` 或 `vtt`（取决于模型）。",
    ),
    optional("language, prompt", "string", "What the model should expect to hear.", "提示模型可能听到的语言或内容。"),
    optional("stream", "boolean", "Send the text as it is heard, where the model can.", "边识别边返回（取决于模型）。"),
];

/// How a request ended, and what is charged then.
pub struct Ending {
    pub outcome: &'static str,
    pub when: &'static str,
    pub charged: &'static str,
}

pub fn endings(l: Language) -> Vec<Ending> {
    let row = |outcome, when, charged| Ending { outcome, when, charged };
    vec![
        row("ok", l.say("The whole answer arrived.", "完整返回。"), l.say("What was used.", "实际用量。")),
        row(
            "client_gone",
            l.say("You closed the connection.", "你断开了连接。"),
            l.say("What had been answered by then; nothing if nothing had.", "断开前已生成的部分；尚未生成则不收费。"),
        ),
        row(
            "upstream_cut",
            l.say("The provider broke off in the middle.", "提供方中途中断。"),
            l.say("What was delivered, by estimate.", "按已送达的部分估算。"),
        ),
        row(
            "upstream_failed, rejected",
            l.say("No provider answered, or it refused the request.", "没有提供方应答，或它拒绝了请求。"),
            l.say("Nothing.", "不收费。"),
        ),
        row("refused", l.say("One of the errors of this gateway.", "被本网关拒绝。"), l.say("Nothing.", "不收费。")),
        row(
            "interrupted",
            l.say("The gateway itself was killed.", "网关进程意外终止。"),
            l.say("What its last checkpoint had noted, at most.", "至多为最后一个检查点记录的用量。"),
        ),
    ]
}

/// A client, and what to type where.
pub struct Recipe {
    pub name: &'static str,
    /// The sample with its code or configuration file, if it has one.
    pub sample: Option<&'static str>,
    /// Where the settings are.
    pub place: &'static str,
    /// What the field is called there, and what belongs into it.
    pub fields: Vec<(&'static str, Value)>,
    pub note: Option<Rich<'static>>,
}

/// What a field of a client's settings is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// With the base path: `http://…/v1`.
    BaseUrl,
    /// Without it.
    EdgeUrl,
    Key,
    Model,
    Fixed(&'static str),
}

pub fn recipes(l: Language) -> Vec<Recipe> {
    let code = |name, sample, place| Recipe { name, sample: Some(sample), place, fields: Vec::new(), note: None };
    let form = |name, place, fields: &[(&'static str, Value)]| Recipe {
        name,
        sample: None,
        place,
        fields: fields.to_vec(),
        note: None,
    };
    let noted = |recipe: Recipe, english, chinese| Recipe { note: Some(l.rich(english, chinese)), ..recipe };
    vec![
        noted(
            code("Codex", "codex", l.say("In a terminal; any model that chats.", "在终端里，适用于任何对话模型。")),
            "It speaks the Responses API alone; models of other makers are converted.",
            "它只使用 Responses API；其他厂商的模型会自动转换。",
        ),
        noted(
            code("Claude Code", "claude-code", l.say("In a terminal.", "在终端里。")),
            "The second model is for small tasks in the background; it may be a cheaper one.",
            "第二个模型用于后台小任务，可选更便宜的。",
        ),
        code(
            "LangChain",
            "langchain",
            l.say(
                "Python; the JavaScript package takes the same three settings.",
                "Python；JavaScript 包的三项设置相同。",
            ),
        ),
        code("LlamaIndex", "llamaindex", l.say("Python, for any model that chats.", "Python，适用于任何对话模型。")),
        code("Vercel AI SDK", "ai-sdk", l.say("Node and edge runtimes.", "Node 与边缘运行时。")),
        noted(
            form(
                "Cherry Studio",
                l.say("Settings → Model provider → Add → OpenAI", "设置 → 模型服务 → 添加 → OpenAI"),
                &[
                    (l.say("API host", "API 地址"), Value::EdgeUrl),
                    (l.say("API key", "API 密钥"), Value::Key),
                    (l.say("Model", "模型"), Value::Model),
                ],
            ),
            "The address goes without `/v1`: the client adds it. **Manage** fetches the models.",
            "地址不带 `/v1`，客户端会自动补上。点“管理”可获取模型列表。",
        ),
        noted(
            form(
                "NextChat",
                l.say("Settings → Custom endpoint", "设置 → 自定义接口"),
                &[
                    (l.say("Endpoint", "接口地址"), Value::EdgeUrl),
                    ("API Key", Value::Key),
                    (l.say("Custom model", "自定义模型名"), Value::Model),
                ],
            ),
            "Without `/v1`. Its balance display works.",
            "不带 `/v1`。余额查询可用。",
        ),
        form(
            "LobeChat",
            l.say("Settings → AI service provider → OpenAI", "设置 → AI 服务商 → OpenAI"),
            &[
                ("API Key", Value::Key),
                (l.say("API proxy URL", "API 代理地址"), Value::BaseUrl),
                (l.say("Model list", "模型列表"), Value::Model),
            ],
        ),
        noted(
            form(
                "Open WebUI",
                l.say("Admin panel → Settings → Connections → OpenAI API", "管理员面板 → 设置 → 外部连接 → OpenAI API"),
                &[("URL", Value::BaseUrl), ("Key", Value::Key)],
            ),
            "Or by environment: `OPENAI_API_BASE_URL` and `OPENAI_API_KEY`. In a container, `127.0.0.1` is the container itself.",
            "也可用环境变量 `OPENAI_API_BASE_URL` 与 `OPENAI_API_KEY`。在容器里，`127.0.0.1` 指容器自身。",
        ),
        noted(
            form(
                "Cursor",
                l.say("Settings → Models → API keys", "Settings → Models → API Keys"),
                &[
                    ("OpenAI API Key", Value::Key),
                    ("Override OpenAI Base URL", Value::BaseUrl),
                    ("Add model", Value::Model),
                ],
            ),
            "Its own servers make the calls, so the address must be reachable from the internet.",
            "请求由它的服务器发出，因此地址必须能从互联网访问。",
        ),
        code(
            "Continue",
            "continue",
            l.say("VS Code and JetBrains; also its command line.", "VS Code 与 JetBrains，也用于其命令行。"),
        ),
        code(
            "Aider",
            "aider",
            l.say(
                "In a terminal. `openai/` before the model's name is Aider's own prefix.",
                "在终端里。模型名前的 `openai/` 是 Aider 自己的前缀。",
            ),
        ),
        form(
            l.say("Anything else", "其他客户端"),
            l.say(
                "Whatever speaks to OpenAI and lets you change the address:",
                "任何支持 OpenAI 且可修改地址的客户端：",
            ),
            &[
                ("Base URL", Value::BaseUrl),
                ("API key", Value::Key),
                (l.say("Provider", "类型"), Value::Fixed("OpenAI, chat completions")),
            ],
        ),
    ]
}

/// A section of the documentation, in order.
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
}

pub fn sections(l: Language) -> Vec<Section> {
    let section = |id, title| Section { id, title };
    vec![
        section("quick-start", l.say("Quick start", "快速开始")),
        section("authentication", l.say("Authentication", "鉴权")),
        section("endpoints", l.say("Endpoints", "支持的接口")),
        section("chat", l.say("Chat completions", "对话补全")),
        section("streaming", l.say("Streaming", "流式输出")),
        section("embeddings", l.say("Embeddings", "文本嵌入")),
        section("images", l.say("Images", "图像生成")),
        section("audio", l.say("Audio", "音频")),
        section("more", l.say("Moderations and rankings", "审核与重排序")),
        section("models", l.say("Models", "模型列表")),
        section("cost", l.say("What a request cost", "查询费用")),
        section("key", l.say("The key's own state", "密钥状态")),
        section("limits", l.say("Limits", "速率限制")),
        section("errors", l.say("Errors", "错误码")),
        section("clients", l.say("SDKs and clients", "SDK 与客户端")),
    ]
}
