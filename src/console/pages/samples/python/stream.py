from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

stream = client.chat.completions.create(
    model="{{model}}",
    messages=[{"role": "user", "content": "{{hello}}"}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    if chunk.usage:
        print("\n" + str(chunk.usage.total_tokens), "tokens")
