curl {{base_url}}/messages/count_tokens \
  -H "x-api-key: {{key}}" \
  -H "anthropic-version: 2023-06-01" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "messages": [{"role": "user", "content": "{{hello}}"}]
  }'
