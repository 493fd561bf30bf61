export OPENAI_API_BASE={{base_url}}
export OPENAI_API_KEY={{key}}
aider --model openai/{{model}}
