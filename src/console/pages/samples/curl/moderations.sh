curl {{base_url}}/moderations \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{"model": "{{model}}", "input": "No violence at the gate."}'
