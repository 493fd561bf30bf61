from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

with client.audio.speech.with_streaming_response.create(
    model="{{model}}",
    input="The gate is open.",
    voice="alloy",
) as answer:
    answer.stream_to_file("gate.audio")
print("gate.audio is written")
