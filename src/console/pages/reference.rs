//! What the documentation lists: endpoints, how a request can end, and what to type into which client.

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
            Endpoint::Completions => ("completions", l.say("Text completion (legacy)", "文本补全（旧接口）")),
            Endpoint::Responses => {
                ("responses", l.say("OpenAI Responses, streamed or whole", "OpenAI Responses，支持流式"))
            }
            Endpoint::Messages => {
                ("messages", l.say("Anthropic Messages, streamed or whole", "Anthropic Messages，支持流式"))
            }
            Endpoint::CountTokens => (
                "count-tokens",
                l.say("Tokens of a message's input, free of charge", "计算 Messages 输入的 token 数，免费"),
            ),
            Endpoint::Embeddings => ("embeddings", l.say("Texts to vectors", "文本嵌入")),
            Endpoint::ImagesGenerations => ("images", l.say("Text to images", "文生图")),
            Endpoint::ImagesEdits => {
                ("image-edits", l.say("Images to images: a form with files", "图像编辑（表单上传）"))
            }
            Endpoint::AudioSpeech => ("audio", l.say("Text to speech", "语音合成")),
            Endpoint::AudioTranscriptions => {
                ("transcription", l.say("Speech to text: a form with a file", "语音转文字（表单上传）"))
            }
            Endpoint::Moderations => ("moderations", l.say("Whether texts or images are harmful", "内容审核")),
            Endpoint::Rerank => ("rerank", l.say("Documents, the most relevant first", "文档重排序")),
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
        section("responses", l.say("Responses", "Responses")),
        section("messages", l.say("Messages", "Messages")),
        section("embeddings", l.say("Embeddings", "文本嵌入")),
        section("images", l.say("Images", "图像生成")),
        section("audio", l.say("Audio", "音频")),
        section("moderations", l.say("Moderations", "内容审核")),
        section("rerank", l.say("Rankings", "重排序")),
        section("models", l.say("Models", "模型列表")),
        section("cost", l.say("What a request cost", "查询费用")),
        section("key", l.say("The key's own state", "密钥状态")),
        section("limits", l.say("Limits", "速率限制")),
        section("errors", l.say("Errors", "错误码")),
        section("clients", l.say("SDKs and clients", "SDK 与客户端")),
    ]
}
