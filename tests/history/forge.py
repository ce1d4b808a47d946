"""Proves that the checker sees: each forged history must be found out, and honest ones pass.

    python3 forge.py
"""

import copy
import sys

from check import check


def honest():
    """Two messages out, one of them sent again in doubt, and two in, one of them repeated."""
    def post(name, start, end, on_doubt="resend"):
        return {"who": "client", "what": "post", "id": name, "from": "5155", "to": "A",
                "on_doubt": on_doubt, "start": start, "end": end}

    def submit(name):
        return {"who": "smsc", "what": "submit", "id": name, "from": "5155", "to": "A"}

    def mo(text, start, end, sent=1):
        return {"who": "smsc", "what": "mo", "text": text, "from": "A", "to": "5155", "sent": sent,
                "start": start, "end": end}

    def message(text, event):
        return {"who": "sink", "what": "message", "text": text, "from": "A", "event": event}

    def told(name, status, event):
        return {"who": "sink", "what": "notification", "id": name, "status": status, "event": event}

    return [
        post("m1", 10, 20), post("m2", 30, 40), post("m3", 50, None), post("h1", 60, 70, "hold"),
        submit("m1"), submit("m1"), submit("m2"),
        {"who": "smsc", "what": "receipt", "id": "m1", "status": "DELIVERED"},
        {"who": "smsc", "what": "receipt", "id": "m2", "status": "FAILED"},
        mo("one", 100, 110), mo("two", 120, 130, 2), mo("three", 140, None),
        told("m1", "SENT", "e1"), told("m1", "DELIVERED", "e2"), told("m1", "DELIVERED", "e2"),
        told("m2", "FAILED", "e3"), message("one", "e4"), message("two", "e5"), message("two", "e6"),
        {"who": "router", "what": "held", "id": "h1"},
        {"who": "router", "what": "resent", "id": "m1", "times": 1},
    ]


def where(history, **facts):
    return [seen for seen in history if all(seen.get(name) == value for name, value in facts.items())]


def without(history, **facts):
    return [seen for seen in history if seen not in where(history, **facts)]


def with_fact(history, changes, **facts):
    forged = copy.deepcopy(history)
    for seen in where(forged, **facts):
        seen.update(changes)
    return forged


def swapped(history, one, other):
    forged = copy.deepcopy(history)
    first, second = forged.index(one), forged.index(other)
    forged[first], forged[second] = forged[second], forged[first]
    return forged


def forgeries():
    true = honest()
    submits = where(true, what="submit")
    ones, twos = where(true, what="message", text="one"), where(true, what="message", text="two")
    again = {"who": "sink", "what": "notification", "id": "m1", "status": "SENT", "event": "e9"}
    yield "lost: m2 was accepted", without(true, what="submit", id="m2")
    yield "lost: h1 was accepted", without(true, what="held")
    yield "lost: the receipt of m2", without(true, what="notification", id="m2")
    yield "lost: 'one'", without(true, what="message", text="one")
    yield "twice: m1", without(true, what="resent")
    yield "twice: h1", true + [dict(submits[0], id="h1"), dict(submits[0], id="h1")] + [
        {"who": "router", "what": "resent", "id": "h1", "times": 1}]
    yield "twice: 'one'", true + [dict(ones[0], event="e8")]
    late = without(true, what="submit", id="m1") + [submits[0]]
    yield "out of order: m2 overtook m1", without(late, what="resent")
    yield "out of order: 'two' overtook", swapped(true, ones[0], twos[0])
    yield "backwards: m1", true + [again]
    yield "false: m2", with_fact(true, {"status": "DELIVERED"}, what="notification", id="m2")
    yield "unknown: m7 was sent", true + [dict(submits[0], id="m7")]
    yield "unknown: m8 was reported", true + [dict(again, id="m8")]
    yield "unknown: 'four'", true + [dict(ones[0], text="four", event="e7")]
    yield "misdirected: m2", with_fact(true, {"to": "B"}, what="submit", id="m2")
    yield "misattributed: 'one'", with_fact(true, {"from": "B"}, what="message", text="one")
    yield "changed: event e4", true + [dict(ones[0], text="two")]
    yield "unknown kind", true + [{"who": "sink", "what": "rumour"}]


def main():
    failed = 0
    surprises = check(honest())
    if surprises:
        failed += 1
        print(f"an honest history was refused: {surprises}")
    count = 0
    for expected, history in forgeries():
        count += 1
        broken = check(history)
        if not any(expected in promise for promise in broken):
            failed += 1
            print(f"not found out: {expected!r}; found {broken}")
    print(f"{count} forged histories, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
