import base64
from pathlib import Path

from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

answer = client.images.generate(
    model="{{model}}",
    prompt="A toll gate at dawn",
    size="1024x1024",
)
Path("gate.png").write_bytes(base64.b64decode(answer.data[0].b64_json))
print("gate.png is written")
