# The standard library alone
import json
from urllib.request import Request, urlopen

request = Request(
    "{{base_url}}/chat/completions",
    headers={
        "Authorization": "Bearer {{key}}",
        "Content-Type": "application/json",
    },
    data=json.dumps({
        "model": "{{model}}",
        "messages": [{"role": "user", "content": "{{hello}}"}],
        "stream": True,
    }).encode(),
)
with urlopen(request, timeout=120) as answer:
    for line in answer:  # reads whole lines, however they arrive
        if not line.startswith(b"data:"):
            continue  # an empty line or a comment
        data = line[5:].strip()
        if data == b"[DONE]":
            break
        event = json.loads(data)
        if "error" in event:
            raise RuntimeError(event["error"]["message"])
        for choice in event["choices"]:
            print(choice["delta"].get("content") or "", end="", flush=True)
print()
