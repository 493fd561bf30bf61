# curl writes the form and its boundary itself: name no Content-Type
curl {{base_url}}/audio/transcriptions \
  -H "Authorization: Bearer {{key}}" \
  -F model={{model}} \
  -F file=@recording.wav
