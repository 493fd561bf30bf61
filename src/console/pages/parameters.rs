//! The fields of each endpoint's request that a reader needs first; all others go to the model as they are.

use super::language::{Language, Rich};

/// The fields of one topic's request; none for a topic that has no table.
pub fn of(topic: &str) -> &'static [Parameter] {
    match topic {
        "chat" => CHAT,
        "completions" => COMPLETIONS,
        "responses" => RESPONSES,
        "messages" => MESSAGES,
        "embeddings" => EMBEDDINGS,
        "images" => IMAGES,
        "image-edits" => IMAGE_EDITS,
        "speech" => SPEECH,
        "transcription" => TRANSCRIPTION,
        "moderations" => MODERATIONS,
        "rerank" => RERANK,
        _ => &[],
    }
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

const CHAT: &[Parameter] = &[
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

const EMBEDDINGS: &[Parameter] = &[
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

const IMAGES: &[Parameter] = &[
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

const SPEECH: &[Parameter] = &[
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

const TRANSCRIPTION: &[Parameter] = &[
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

const COMPLETIONS: &[Parameter] = &[
    needed("model", "string", "A model that chats, by its name or alias.", "任意对话模型的名称或别名。"),
    needed("prompt", "string, array", "The text to go on with.", "待续写的文本。"),
    optional("max_tokens", "integer", "The most tokens to answer with.", "最多生成多少 token。"),
    optional(
        "stream",
        "boolean",
        "Send the answer piece by piece, as [events](#streaming).",
        "以[事件流](#streaming)逐段返回。",
    ),
];

const RESPONSES: &[Parameter] = &[
    needed("model", "string", "A model that chats, by its name or alias.", "任意对话模型的名称或别名。"),
    needed(
        "input",
        "string, array",
        "A text, or items: messages, calls of tools and their results.",
        "一段文本，或若干条目：消息、工具调用及其结果。",
    ),
    optional("instructions", "string", "What the model should keep to; the system's message.", "系统指令。"),
    optional(
        "max_output_tokens",
        "integer",
        "The most tokens to answer with, thinking included.",
        "最多生成多少 token（含推理）。",
    ),
    optional(
        "stream",
        "boolean",
        "Send the answer as named events, from `response.created` to `response.completed`.",
        "以具名事件返回，从 `response.created` 到 `response.completed`。",
    ),
    optional("tools, tool_choice", "array, object", "Functions that the model may call.", "模型可以调用的函数。"),
    optional("reasoning.effort", "string", "How long to think, where the model can.", "推理强度（取决于模型）。"),
    optional(
        "text.format",
        "object",
        "JSON after a schema, where the model can.",
        "要求输出符合 schema 的 JSON（取决于模型）。",
    ),
];

const MESSAGES: &[Parameter] = &[
    needed("model", "string", "A model that chats, by its name or alias.", "任意对话模型的名称或别名。"),
    needed(
        "messages",
        "array",
        "The conversation: objects with `role` (`user`, `assistant`) and `content`, a text or blocks.",
        "对话内容：每项含 `role`（`user`、`assistant`）和 `content`（文本或内容块）。",
    ),
    needed(
        "max_tokens",
        "integer",
        "The most tokens to answer with. It also bounds what is set aside from your balance.",
        "最多生成多少 token，同时决定预留金额的上限。",
    ),
    optional("system", "string, array", "What the model should keep to.", "系统指令。"),
    optional(
        "stream",
        "boolean",
        "Send the answer as named events, from `message_start` to `message_stop`.",
        "以具名事件返回，从 `message_start` 到 `message_stop`。",
    ),
    optional("tools, tool_choice", "array, object", "Functions that the model may call.", "模型可以调用的函数。"),
    optional("thinking", "object", "How much to think, where the model can.", "推理预算（取决于模型）。"),
    optional("temperature, top_p, top_k", "number", "How freely words are chosen.", "采样的随机程度。"),
];

const IMAGE_EDITS: &[Parameter] = &[
    needed("image", "file", "The picture; `image[]` for each of several.", "原图；多张时用 `image[]`。"),
    needed("prompt", "string", "What to change.", "要做的修改。"),
    needed("model", "string", "A model for images. Once, and as text.", "图像模型，只能出现一次，且为文本字段。"),
    optional("mask", "file", "Where to change it: its transparent parts.", "蒙版，透明处为可修改区域。"),
    optional("n, size, quality", "integer, string", "As for [new pictures](#images).", "与[图像生成](#images)相同。"),
];

const MODERATIONS: &[Parameter] = &[
    needed("model", "string", "A model for moderations.", "审核模型。"),
    needed(
        "input",
        "string, array",
        "A text, a list of texts, or a list of parts with text and images.",
        "文本、文本列表，或由文本与图片组成的列表。",
    ),
];

const RERANK: &[Parameter] = &[
    needed("model", "string", "A model for rankings.", "重排序模型。"),
    needed("query", "string", "What is looked for.", "查询内容。"),
    needed("documents", "array", "Texts, or objects with a `text`.", "文本，或含 `text` 的对象。"),
    optional("top_n", "integer", "How many come back.", "返回多少条。"),
    optional(
        "return_documents",
        "boolean",
        "Give the texts back beside their ranks, where the model can.",
        "同时返回原文（取决于模型）。",
    ),
];
