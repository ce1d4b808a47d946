"""Decides whether a run of the router kept its promises, from what its neighbours saw.

    python3 check.py HISTORY

A history has one JSON object a line: what the client (who posts messages), the SMSC and the sink
(who takes messages for the business) saw, each in its own order, and at the end what the router
lists for its operator. Times are microseconds of one clock; "end" is null where no answer came.
Prints every broken promise, and exits with 1 if there is one. It shares no code with the router,
and none with its tests.

    {"who": "client", "what": "post", "id", "from", "to", "on_doubt": "resend"|"hold", "start", "end"}
    {"who": "smsc", "what": "submit", "id", "from", "to"}
    {"who": "smsc", "what": "receipt", "id", "status"}
    {"who": "smsc", "what": "mo", "text", "from", "to", "sent", "start", "end"}
    {"who": "sink", "what": "message", "text", "from", "event"}
    {"who": "sink", "what": "notification", "id", "status", "event"}
    {"who": "router", "what": "held"|"unmatched", "id"}
    {"who": "router", "what": "resent", "id", "times"}
"""

import json
import sys
from collections import Counter, defaultdict

FINAL = {"DELIVERED", "FAILED"}
KNOWN = {
    ("client", "post"), ("smsc", "submit"), ("smsc", "receipt"), ("smsc", "mo"),
    ("sink", "message"), ("sink", "notification"),
    ("router", "held"), ("router", "unmatched"), ("router", "resent"),
}


def of(history, who, what):
    return [seen for seen in history if (seen["who"], seen["what"]) == (who, what)]


def once(seen):
    """What came to the sink, each event once: an event that comes again is a repeat, not another."""
    events = {}
    for item in seen:
        events.setdefault(item["event"], item)
    return list(events.values())


def check_outbound(history):
    posts = {post["id"]: post for post in of(history, "client", "post")}
    submits = of(history, "smsc", "submit")
    times = Counter(submit["id"] for submit in submits)
    held = {item["id"] for item in of(history, "router", "held")}
    resent = Counter()
    for item in of(history, "router", "resent"):
        resent[item["id"]] += item["times"]
    for submit in submits:
        post = posts.get(submit["id"])
        if post is None:
            yield f"unknown: {submit['id']} was sent and never posted"
        elif (post["from"], post["to"]) != (submit["from"], submit["to"]):
            yield f"misdirected: {submit['id']} went from {submit['from']} to {submit['to']}"
    for name, post in posts.items():
        if post["end"] is not None and not times[name] and name not in held:
            yield f"lost: {name} was accepted, never sent, and is not listed in doubt"
        if post["on_doubt"] == "hold" and times[name] > 1:
            yield f"twice: {name} is on hold when in doubt, and was sent {times[name]} times"
        if times[name] > 1 + resent[name]:
            yield f"twice: {name} was sent {times[name]} times, {resent[name]} of them flagged"
    yield from check_order(posts, submits, held)


def check_order(posts, submits, held):
    """A message whose acceptance was answered before another's was posted is sent before it."""
    first = {}
    for place, submit in enumerate(submits):
        first.setdefault(submit["id"], place)
    conversations = defaultdict(list)
    for name, post in posts.items():
        if name in first and name not in held and post["end"] is not None:
            conversations[post["from"], post["to"]].append((post["start"], post["end"], first[name], name))
    for messages in conversations.values():
        messages.sort()
        ended = sorted((end, place, name) for _, end, place, name in messages)
        at, latest = 0, (-1, "")
        for start, _, place, name in messages:
            while at < len(ended) and ended[at][0] < start:
                latest = max(latest, ended[at][1:])
                at += 1
            if latest[0] > place:
                yield f"out of order: {name} overtook {latest[1]}"


def check_receipts(history):
    posts = {post["id"] for post in of(history, "client", "post")}
    told = defaultdict(list)
    for item in once(of(history, "sink", "notification")):
        told[item["id"]].append(item["status"])
    receipts = defaultdict(set)
    for item in of(history, "smsc", "receipt"):
        receipts[item["id"]].add(item["status"])
    listed = {item["id"] for what in ("held", "unmatched") for item in of(history, "router", what)}
    for name, statuses in told.items():
        if name not in posts:
            yield f"unknown: {name} was reported and never posted"
        for before, after in zip(statuses, statuses[1:]):
            if before == "DELIVERED" or before in FINAL and after not in FINAL:
                yield f"backwards: {name} was told {before}, then {after}"
        wrong = [status for status in statuses if status in FINAL and status not in receipts[name]]
        if wrong and receipts[name]:
            yield f"false: {name} was told {wrong[0]}, its receipts said {sorted(receipts[name])}"
    for name, statuses in receipts.items():
        if statuses & FINAL and not FINAL & set(told[name]) and name not in listed:
            yield f"lost: the receipt of {name} was acknowledged, and nobody was told"


def check_inbound(history):
    written = {mo["text"]: mo for mo in of(history, "smsc", "mo")}
    came, first = Counter(), {}
    for place, item in enumerate(once(of(history, "sink", "message"))):
        text = item["text"]
        came[text] += 1
        first.setdefault(text, place)
        if text not in written:
            yield f"unknown: {text!r} reached the business and nobody wrote it"
        elif written[text]["from"] != item["from"]:
            yield f"misattributed: {text!r} of {written[text]['from']} came as {item['from']}'s"
    senders = defaultdict(list)
    for text, mo in written.items():
        if mo["end"] is not None and text not in first:
            yield f"lost: {text!r} was acknowledged and never reached the business"
        if came[text] > mo["sent"]:
            yield f"twice: {text!r} was delivered {mo['sent']} times and came {came[text]} times"
        if text in first:
            senders[mo["from"], mo["to"]].append(mo)
    for mos in senders.values():
        mos.sort(key=lambda mo: mo["start"])
        for before, after in zip(mos, mos[1:]):
            is_before = before["end"] is not None and before["end"] < after["start"]
            if is_before and first[before["text"]] > first[after["text"]]:
                yield f"out of order: {after['text']!r} overtook {before['text']!r}"


def check_repeats(history):
    seen = {}
    for item in of(history, "sink", "message") + of(history, "sink", "notification"):
        facts = {name: value for name, value in item.items()}
        if seen.setdefault(item["event"], facts) != facts:
            yield f"changed: event {item['event']} came again with other content"


def check(history):
    """Returns the broken promises of a history."""
    unknown = {(seen["who"], seen["what"]) for seen in history} - KNOWN
    broken = [f"the history has a line of an unknown kind: {who} {what}" for who, what in sorted(unknown)]
    for part in (check_outbound, check_receipts, check_inbound, check_repeats):
        broken.extend(part(history))
    return broken


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        history = [json.loads(line) for line in lines]
    broken = check(history)
    for promise in broken:
        print(promise)
    counts = Counter(f"{seen['who']} {seen['what']}" for seen in history)
    print(f"{len(broken)} broken promises in {len(history)} lines: {dict(sorted(counts.items()))}")
    return 1 if broken or not history else 0


if __name__ == "__main__":
    sys.exit(main())
