"""A destination that verifies Standard Webhooks signatures with the official library.

Arguments: secrets. Prints its port, then one JSON line for each POST: its id, and for each secret whether it verifies.
Refuses the first POST, so that it is tried again."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

count = 0


def verifies(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


class Destination(BaseHTTPRequestHandler):
    def do_POST(self):
        global count
        count += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = {
            "id": headers.get("webhook-id"),
            "event": headers.get("x-patchbay-event-id"),
            "verifies": [verifies(secret, body, headers) for secret in sys.argv[1:]],
            "forged": verifies(sys.argv[1], body + b" ", headers),
        }
        print(json.dumps(told), flush=True)
        self.send_response(503 if count == 1 else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Destination)
print(server.server_port, flush=True)
server.serve_forever()
