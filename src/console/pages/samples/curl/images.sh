# The picture comes as base64: decode it into a file
curl {{base_url}}/images/generations \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "prompt": "A toll gate at dawn",
    "size": "1024x1024"
  }' \
  | sed 's/.*"b64_json": *"\([^"]*\)".*/\1/' \
  | base64 --decode > gate.png
