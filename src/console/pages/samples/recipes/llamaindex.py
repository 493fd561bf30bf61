# pip install llama-index-llms-openai-like
from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(
    model="{{model}}",
    api_base="{{base_url}}",
    api_key="{{key}}",
    is_chat_model=True,
    context_window=128000,
)
print(model.complete("{{hello}}"))
