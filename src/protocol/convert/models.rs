//! What a model's name tells of the fields that it takes.
//!
//! Providers refuse a field that a model does not know, and the dialects alone do not say who knows what. Names do, as
//! far as makers keep to their own; where a name tells nothing, the older and more widely known form is written, and a
//! hint is left out.

use crate::core::catalog::UpstreamKind;

/// Whether the maximum is called `max_completion_tokens`. OpenAI's models take that name everywhere and refuse the old
/// one where they reason; others know `max_tokens` alone.
pub(super) fn takes_new_maximum(kind: UpstreamKind, model: &str) -> bool {
    let name = base_name(model);
    let by_name = name.starts_with("gpt-") && !name.starts_with("gpt-oss") || name.starts_with("chatgpt") || is_o(name);
    // A deployment is called as its owner likes.
    by_name || kind == UpstreamKind::Azure
}

/// Whether a model takes a reasoning effort where an OpenAI dialect is spoken.
pub(super) fn takes_effort(model: &str) -> bool {
    let name = base_name(model);
    let version = |maker: &str| name.strip_prefix(maker)?.chars().next()?.to_digit(10);
    is_o(name)
        || name.starts_with("gpt-oss")
        || version("gpt-").is_some_and(|version| version >= 5)
        || version("gemini-").is_some_and(|version| version >= 3)
        || name.starts_with("gemini-2.5")
}

/// Whether a model of the Messages API decides itself how long to think. Claude does from 4.6 on, and refuses a budget
/// from 4.7 on; older ones, and those of other makers who offer this API, know the budget alone.
pub(super) fn thinks_adaptively(model: &str) -> bool {
    const WITH_BUDGET: [&str; 9] = [
        "claude-3",
        "opus-4-0",
        "opus-4-1",
        "opus-4-2",
        "opus-4-5",
        "sonnet-4-0",
        "sonnet-4-2",
        "sonnet-4-5",
        "haiku-4",
    ];
    let model = model.replace('.', "-");
    let is_first_four = model.ends_with("opus-4") || model.ends_with("sonnet-4") || model.contains("-4@");
    model.contains("claude") && !is_first_four && !WITH_BUDGET.iter().any(|old| model.contains(old))
}

/// Which of temperature and top-p a model of the Messages API takes. Claude takes one at a time, and none from 4.7 on.
pub(super) fn takes_sampling(model: &str) -> Sampling {
    if !model.contains("claude") {
        Sampling::Both
    } else if thinks_adaptively(model) && !model.replace('.', "-").contains("-4-6") {
        Sampling::Neither
    } else {
        Sampling::Either
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    Both,
    Either,
    Neither,
}

/// Whether a model signs its calls, and wants them back signed.
pub(super) fn signs_calls(model: &str) -> bool {
    base_name(model).starts_with("gemini")
}

/// OpenAI's `o1`, `o3-mini` and their like.
fn is_o(name: &str) -> bool {
    matches!(name.as_bytes(), [b'o', b'1'..=b'9', ..])
}

/// Without the maker's name that aggregators put in front.
fn base_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_who_reasons() {
        for model in ["o3-mini", "gpt-5.4", "openai/gpt-6-sol", "gpt-oss-120b", "gemini-2.5-pro", "gemini-3-flash"] {
            assert!(takes_effort(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-4.1-mini", "deepseek-chat", "gemini-2.0-flash", "olmo", "qwen3", ""] {
            assert!(!takes_effort(model), "{model}");
        }
    }

    #[test]
    fn names_tell_how_the_maximum_is_called() {
        for model in ["gpt-4o", "o1", "openai/gpt-5", "chatgpt-4o-latest"] {
            assert!(takes_new_maximum(UpstreamKind::Openai, model), "{model}");
        }
        for model in ["deepseek-chat", "gpt-oss-20b", "openchat"] {
            assert!(!takes_new_maximum(UpstreamKind::Openai, model), "{model}");
        }
        assert!(takes_new_maximum(UpstreamKind::Azure, "our-deployment"));
    }

    #[test]
    fn names_tell_who_needs_a_budget() {
        for model in ["claude-opus-4-6", "claude-sonnet-5-5", "claude-fable-5", "anthropic/claude-opus-4.8"] {
            assert!(thinks_adaptively(model), "{model}");
        }
        for model in [
            "claude-3-7-sonnet-20250219",
            "claude-sonnet-4-20250514",
            "claude-opus-4@20250514",
            "claude-sonnet-4-5",
            "anthropic/claude-haiku-4.5",
            "anthropic/claude-sonnet-4",
            "kimi-k2",
        ] {
            assert!(!thinks_adaptively(model), "{model}");
        }
    }

    #[test]
    fn names_tell_who_takes_a_temperature() {
        for (model, takes) in [
            ("claude-opus-4-7", Sampling::Neither),
            ("claude-haiku-5-5", Sampling::Neither),
            ("anthropic/claude-sonnet-4.6", Sampling::Either),
            ("claude-sonnet-4-5", Sampling::Either),
            ("glm-5", Sampling::Both),
        ] {
            assert_eq!(takes_sampling(model), takes, "{model}");
        }
    }
}
