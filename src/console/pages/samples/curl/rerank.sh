curl {{base_url}}/rerank \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "query": "toll for a lorry",
    "documents": ["Cyclists pass for free.", "The toll for a lorry is 12."],
    "top_n": 1
  }'
