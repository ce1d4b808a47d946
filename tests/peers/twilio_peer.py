"""Twilio's own Python library: a stranger's check of both ends. As a client it sends through the simulated Twilio; as
Twilio it signs webhooks for Patchbay; as a business it validates what the simulated Twilio signs. It must not share a
line of code with Patchbay."""

import http.client
import http.server
import json
import sys
import urllib.parse

import twilio.base.exceptions
import twilio.request_validator
import twilio.rest

SIMULATOR, SID, TOKEN, PATCHBAY, PUBLIC = sys.argv[1:6]
PATH = "/webhooks/twilio"
validator = twilio.request_validator.RequestValidator(TOKEN)


def tell(what, **fields):
    print(json.dumps({"what": what, **fields}), flush=True)


def client(token):
    rest = twilio.rest.Client(SID, token)
    rest.api.base_url = SIMULATOR
    return rest


def sends():
    message = client(TOKEN).messages.create(
        to="+15550001111", from_="+15557770000", body="From Twilio's own library: ä 👋 & more",
        status_callback=f"{PUBLIC}{PATH}?part=none",
    )
    tell("sent", sid=message.sid, status=message.status, body=message.body, segments=message.num_segments)
    try:
        client("wrong").messages.create(to="+15550001111", from_="+15557770000", body="x")
    except twilio.base.exceptions.TwilioRestException as error:
        tell("refused", status=error.status, code=error.code)


def signs(params, forge=False):
    signature = validator.compute_signature(f"{PUBLIC}{PATH}", params)
    body = urllib.parse.urlencode(params | ({"Body": "Forged"} if forge else {}))
    connection = http.client.HTTPConnection(PATCHBAY)
    connection.request("POST", PATH, body, {
        "Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature,
    })
    answer = connection.getresponse()
    tell("forged" if forge else "signed", status=answer.status, body=answer.read().decode())


class Business(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        good = validator.validate(f"{PUBLIC}{self.path}", params, self.headers.get("X-Twilio-Signature", ""))
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


sends()
message = {
    "MessageSid": "SM00000000000000000000000000000001", "AccountSid": SID, "From": "+15550001111",
    "To": "+15557770000", "Body": "Signed by Twilio's own library: ä 👋 + & =", "NumMedia": "0", "NumSegments": "1",
    "SmsStatus": "received", "ApiVersion": "2010-04-01",
}
signs(message, forge=True)
signs(message)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Business)
tell("listens", port=server.server_address[1])
server.serve_forever()
