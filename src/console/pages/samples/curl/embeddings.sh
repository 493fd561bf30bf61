curl {{base_url}}/embeddings \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "input": ["a toll gate", "a barrier across a road"]
  }'
