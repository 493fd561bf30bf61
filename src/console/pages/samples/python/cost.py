import time

from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

raw = client.chat.completions.with_raw_response.create(
    model="{{model}}",
    messages=[{"role": "user", "content": "{{hello}}"}],
)
print(raw.parse().choices[0].message.content)

time.sleep(1)  # it is charged when its answer has ended
request_id = raw.headers["x-request-id"]
record = client.get(f"/requests/{request_id}", cast_to=object)
print(record["outcome"], record["charge"])
