//! The error table: the rows of [`ApiError::guide`], which speak English, with Chinese beside them.

use super::language::{Language, Rich};
use crate::core::api_error::ApiError;
use crate::core::api_error::guide::Entry;

pub struct Row {
    pub status: u16,
    pub code: &'static str,
    pub when: Rich<'static>,
    pub remedy: Rich<'static>,
    pub retry: bool,
}

pub fn rows(l: Language) -> Vec<Row> {
    ApiError::guide().iter().map(|entry| row(entry, l)).collect()
}

fn row(entry: &Entry, l: Language) -> Row {
    let chinese = CHINESE.iter().find(|(id, ..)| *id == entry.id);
    let (when, remedy) = match (l, chinese) {
        (Language::Chinese, Some((_, when, remedy))) => (*when, *remedy),
        _ => (entry.when, entry.remedy),
    };
    Row { status: entry.status, code: entry.code, when: Rich(when), remedy: Rich(remedy), retry: entry.retry }
}

/// By the entry's id: when, and what to do.
const CHINESE: &[(&str, &str, &str)] = &[
    (
        "invalid_request",
        "请求体不是 JSON、缺少 `model`，或有字段类型错误、重复。",
        "按 `param` 和 `message` 指出的字段修改。",
    ),
    (
        "rejected_upstream",
        "模型的提供方不接受这个请求，`message` 是它的说明。",
        "按说明修改。状态码也可能是 413（`request_too_large`）或 422。",
    ),
    ("invalid_api_key", "没有携带密钥，或密钥不存在。", "检查密钥是否正确，并以 `Authorization: Bearer` 发送。"),
    ("key_expired", "密钥已过期。", "创建新密钥，或延长它的有效期。"),
    (
        "insufficient_balance",
        "账户余额或密钥预算不足以覆盖这次请求可能产生的最高费用。",
        "充值、提高预算，或用 `max_completion_tokens` 减少输出。",
    ),
    ("key_disabled", "密钥已停用。", "在控制台重新启用。"),
    ("account_suspended", "密钥所属的账户已暂停。", "联系本网关的运营者。"),
    ("address_not_allowed", "密钥只允许从特定地址使用，当前地址不在其中。", "从允许的地址调用，或修改密钥的地址列表。"),
    ("not_found", "此路径不存在。", "与上面的接口列表核对 URL。"),
    (
        "request_not_found",
        "`GET /requests/{id}`：这个密钥没有这样的请求。",
        "用发出该请求的密钥，在应答结束片刻之后查询。",
    ),
    ("model_not_found_by_path", "`GET /models/{id}`：没有这个模型，或此密钥不可用。", "从 `GET /models` 里取 id。"),
    ("method_not_allowed", "路径存在，但不支持这个方法。", "使用 `Allow` 响应头给出的方法。"),
    ("request_timeout", "请求没有在时限内完整到达。", "检查网络后重发。"),
    ("request_too_large", "请求体超过本网关的上限。", "减小请求：更小的图片、更少的消息。"),
    (
        "unsupported_media_type",
        "请求体不是纯 JSON（上传接口：带 boundary 的表单），或经过压缩。",
        "发送 `Content-Type: application/json`，上传用 `multipart/form-data`，不要带 `Content-Encoding`。",
    ),
    ("model_not_found", "没有这个模型，或此密钥不可使用它。", "从 `GET /models` 里取 id，或为密钥开放该模型。"),
    (
        "rate_limit",
        "请求数、token 数或并发数超过限制；或同一地址用了太多错误密钥。",
        "等待 `Retry-After` 指定的时间。官方 SDK 会自动等待。",
    ),
    ("rate_limit_never_fits", "单个请求就超过每分钟 token 限制（`x-should-retry: false`）。", "减小请求，等待没有用。"),
    ("headers_too_large", "请求头过大。", "减少或缩短请求头。"),
    (
        "server_error",
        "网关内部出错，或该模型的所有提供方都没有应答。不收费。",
        "重试；若一直如此，请提供 `x-request-id`。",
    ),
    ("unavailable", "网关暂时过载或正在重启。", "等待 `Retry-After` 秒后重试。"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_chinese_words_and_no_words_are_left_over() {
        let mut ids: Vec<_> = ApiError::guide().iter().map(|entry| entry.id).collect();
        let mut translated: Vec<_> = CHINESE.iter().map(|(id, ..)| *id).collect();
        ids.sort_unstable();
        translated.sort_unstable();
        assert_eq!(ids, translated);
    }
}
