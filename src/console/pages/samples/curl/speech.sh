curl {{base_url}}/audio/speech \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "input": "The gate is open.",
    "voice": "alloy"
  }' \
  --output gate.audio
