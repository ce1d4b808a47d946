#!/usr/bin/env python3
"""Sends a text and waits until its status is final: ./send.py +4917600000001 Hello"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("PATCHBAY_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("PATCHBAY_API_KEY", "")
OWN = os.environ.get("FROM", "5155")


def ask(method, path, body=None):
    request = urllib.request.Request(URL + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {KEY}")
    request.add_header("Content-Type", "application/json")
    for attempt in range(4):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
            # 503: nothing was accepted; try again later, with the same id.
            if error.code == 503 and attempt < 3:
                time.sleep(int(error.headers.get("Retry-After", "1")))
                continue
            # An error says what is wrong and what to do; one about the message is a notification.
            sys.exit(f'{error.code}: {told.get("detail") or told.get("markdownText")} {told.get("fix", "")}')


# An id of our own: sending it again, after a lost answer, sends no second message.
message_id = str(uuid.uuid4())
accepted = ask("POST", "/v1/messages", {
    "id": message_id,
    "header": {"channelData": {"channelCustomerIdentifier": sys.argv[1], "serviceIdentifier": OWN}},
    "body": {"type": "PLAIN", "markdownText": sys.argv[2]},
})
print(accepted)
for _ in range(30):
    status = ask("GET", f"/v1/messages/{message_id}")["status"]
    print(message_id, status)
    if status in ("DELIVERED", "READ", "FAILED"):
        sys.exit(3 if status == "FAILED" else 0)
    time.sleep(1)
sys.exit(4)
