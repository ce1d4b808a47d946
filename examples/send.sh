#!/bin/sh
# Sends a text and waits until its status is final: ./send.sh +4917600000001 "Hello"
# FROM, TO and TEXT must hold no quotation mark or backslash here; jq would write them safely.
set -eu
url=${PATCHBAY_URL:-http://127.0.0.1:8080}
# An id of our own: sending it again, after a lost answer, sends no second message.
id=$(cat /proc/sys/kernel/random/uuid)

ask() {
  curl --silent --show-error --retry 3 --retry-all-errors -H "Authorization: Bearer ${PATCHBAY_API_KEY:-}" "$@"
}

# 202 means that it is on disk. Anything else says in "detail" or "markdownText" what is wrong.
ask --fail-with-body "$url/v1/messages" -H 'Content-Type: application/json' -d '{
  "id": "'"$id"'",
  "header": {"channelData": {"channelCustomerIdentifier": "'"$1"'", "serviceIdentifier": "'"${FROM:-5155}"'"}},
  "body": {"type": "PLAIN", "markdownText": "'"$2"'"}
}'
echo

for _ in $(seq 30); do
  status=$(ask "$url/v1/messages/$id" | sed 's/.*"messageId":"[^"]*","status":"\([A-Z_]*\)".*/\1/')
  echo "$id $status"
  case $status in DELIVERED | READ) exit 0 ;; FAILED) exit 3 ;; esac
  sleep 1
done
exit 4
