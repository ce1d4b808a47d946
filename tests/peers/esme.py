"""An ESME made of the PyPI library `smpplib`: a stranger's check of Patchbay's simulated SMSC. Binds, sends a
short and a long text, takes the receipts and customers' messages, and tells what it saw as JSON lines. It must
not share a line of code with Patchbay."""

import json
import socket
import sys
import time

import smpplib.client
import smpplib.command
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

HOST, PORT, RECEIPTS_WANTED, MO_WANTED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


def tell(what, **fields):
    print(json.dumps({"what": what, **fields}), flush=True)


def refused():
    client = smpplib.client.Client(HOST, PORT, allow_unknown_opt_params=True)
    client.connect()
    try:
        client.bind_transceiver(system_id="esme", password="wrong")
    except smpplib.exceptions.PDUError as error:
        tell("refused", status=error.args[1])
    client.disconnect()


def main():
    refused()
    client = smpplib.client.Client(HOST, PORT, timeout=1, allow_unknown_opt_params=True)
    receipts, texts = [], []

    def received(pdu):
        body = pdu.short_message
        if pdu.esm_class & 0x3C == 0x04:
            receipts.append(pdu)
            tell("receipt", id=pdu.receipted_message_id.decode(), text=body.decode("ascii"), state=pdu.message_state)
        else:
            texts.append(pdu)
            header = list(body[: body[0] + 1]) if pdu.esm_class & 0x40 else []
            payload = body[len(header):]
            text = payload.decode("utf-16-be") if pdu.data_coding == 8 else payload.decode("ascii")
            tell("mo", source=pdu.source_addr.decode(), text=text, header=header)
        return 0

    client.set_message_received_handler(received)
    client.set_message_sent_handler(lambda pdu: tell("sent", id=pdu.message_id.decode(), status=pdu.status))
    client.connect()
    client.bind_transceiver(system_id="esme", password="secret")
    tell("bound")
    for text in ["Hello from a stranger", "Long, with emoji 🎉 and 漢字. " * 8]:
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_INTL, source_addr="5155",
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL, destination_addr="4917600000001",
                short_message=part, data_coding=coding, esm_class=esm_class, registered_delivery=True,
            )
        tell("submitted", parts=len(parts), text=text)
    client.send_pdu(smpplib.command.EnquireLink("enquire_link", sequence=0))
    deadline = time.time() + 20
    while (len(receipts) < RECEIPTS_WANTED or len(texts) < MO_WANTED) and time.time() < deadline:
        try:
            client.read_once()
        except socket.timeout:
            pass
    client.unbind()
    client.disconnect()
    tell("done", receipts=len(receipts), texts=len(texts))


main()
