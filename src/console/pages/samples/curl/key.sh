curl {{base_url}}/key \
  -H "Authorization: Bearer {{key}}"
