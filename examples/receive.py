#!/usr/bin/env python3
"""Receives customers' messages and notifications, verifies their signature, and takes each event once."""

import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["WHSEC"].removeprefix("whsec_"))
# Ids of the events that were taken. A real service keeps them where it keeps what it does with them, in the same
# transaction, so that a crash between the two takes no event twice and loses none.
taken = set()


def is_signed(headers, body):
    event, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    # A copy of an old POST is refused.
    if not at.isdigit() or abs(time.time() - int(at)) > 300:
        return False
    signed = f"{event}.{at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    # While a secret is replaced, there are two signatures.
    given = headers.get("webhook-signature", "").split(" ")
    return any([hmac.compare_digest(expected.encode(), one.encode()) for one in given])


class Destination(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not is_signed(self.headers, body):
            return self.answer(401)
        event = self.headers["webhook-id"]
        if event not in taken:
            message = json.loads(body)
            content = message["body"]
            print(event, content["type"], content.get("status") or "", content.get("markdownText") or "", flush=True)
            taken.add(event)
        # Only now: without a 2xx, Patchbay posts it again.
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Destination)
print(f"listening on http://127.0.0.1:{server.server_port}/cim", flush=True)
server.serve_forever()
