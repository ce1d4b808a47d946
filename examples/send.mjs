#!/usr/bin/env node
// Sends a text and waits until its status is final: ./send.mjs +4917600000001 Hello
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const { PATCHBAY_URL = "http://127.0.0.1:8080", PATCHBAY_API_KEY = "", FROM = "5155" } = process.env;
const [to, text] = process.argv.slice(2);

async function ask(method, path, body) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(PATCHBAY_URL + path, {
      method,
      headers: { authorization: `Bearer ${PATCHBAY_API_KEY}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const told = await answer.json();
    if (answer.ok) return told;
    // 503: nothing was accepted; try again later, with the same id.
    if (answer.status === 503 && attempt < 3) {
      await pause(1000 * Number(answer.headers.get("retry-after") ?? 1));
      continue;
    }
    // An error says what is wrong and what to do; one about the message is a notification.
    console.error(answer.status, told.detail ?? told.markdownText, told.fix ?? "");
    process.exit(1);
  }
}

// An id of our own: sending it again, after a lost answer, sends no second message.
const id = randomUUID();
console.log(
  await ask("POST", "/v1/messages", {
    id,
    header: { channelData: { channelCustomerIdentifier: to, serviceIdentifier: FROM } },
    body: { type: "PLAIN", markdownText: text },
  }),
);
for (let tries = 0; tries < 30; tries++) {
  const { status } = await ask("GET", `/v1/messages/${id}`);
  console.log(id, status);
  if (["DELIVERED", "READ", "FAILED"].includes(status)) process.exit(status === "FAILED" ? 3 : 0);
  await pause(1000);
}
process.exit(4);
