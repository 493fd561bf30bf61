# -N: show each piece when it arrives
curl -N {{base_url}}/chat/completions \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "messages": [
      {"role": "user", "content": "{{hello}}"}
    ],
    "stream": true,
    "stream_options": {"include_usage": true}
  }'
