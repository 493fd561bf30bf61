import openai

client = openai.OpenAI(base_url="{{base_url}}", api_key="{{key}}")

try:
    client.chat.completions.create(
        model="no-such-model",
        messages=[{"role": "user", "content": "{{hello}}"}],
    )
except openai.APIStatusError as error:
    # Compare the code; the message is for people and may change
    print(error.status_code, error.code, error.request_id)
except openai.APIConnectionError as error:
    print("not reached:", error)
