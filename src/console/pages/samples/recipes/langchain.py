# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="{{model}}",
    base_url="{{base_url}}",
    api_key="{{key}}",
)
print(model.invoke("{{hello}}").content)
