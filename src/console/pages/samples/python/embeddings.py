from openai import OpenAI

client = OpenAI(base_url="{{base_url}}", api_key="{{key}}")

answer = client.embeddings.create(
    model="{{model}}",
    input=["a toll gate", "a barrier across a road"],
)
for item in answer.data:
    print(item.index, len(item.embedding), "numbers")
