# A form, as for recordings; the answer is that of a new picture
curl {{base_url}}/images/edits \
  -H "Authorization: Bearer {{key}}" \
  -F model={{model}} \
  -F prompt="Raise the barrier" \
  -F image=@picture.png \
  | sed 's/.*"b64_json": *"\([^"]*\)".*/\1/' \
  | base64 --decode > edited.png
