# Each answer carries its id in the header x-request-id
id=$(curl -s -D - -o answer.json \
  {{base_url}}/chat/completions \
  -H "Authorization: Bearer {{key}}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "{{model}}",
    "messages": [
      {"role": "user", "content": "{{hello}}"}
    ]
  }' \
  | tr -d '\r' | sed -n 's/^x-request-id: //Ip')

sleep 1
curl {{base_url}}/requests/$id \
  -H "Authorization: Bearer {{key}}"
