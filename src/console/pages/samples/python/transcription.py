from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

with open("recording.wav", "rb") as recording:
    answer = client.audio.transcriptions.create(model="{{model}}", file=recording)
print(answer.text)
