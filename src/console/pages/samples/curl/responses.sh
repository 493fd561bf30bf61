curl {{base_url}}/responses \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{"model": "{{model}}", "input": "{{hello}}"}'
