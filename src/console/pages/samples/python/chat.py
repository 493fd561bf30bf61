from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

answer = client.chat.completions.create(
    model="{{model}}",
    messages=[{"role": "user", "content": "{{hello}}"}],
)
print(answer.choices[0].message.content)
print(answer.usage.total_tokens, "tokens")
