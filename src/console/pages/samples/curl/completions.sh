curl {{base_url}}/completions \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{"model": "{{model}}", "prompt": "{{hello}}", "max_tokens": 64}'
