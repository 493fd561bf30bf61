curl {{base_url}}/models \
  -H "Authorization: Bearer {{key}}"
