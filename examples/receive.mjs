#!/usr/bin/env node
// Receives customers' messages and notifications, verifies their signature, and takes each event once.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.WHSEC.replace(/^whsec_/, ""), "base64");
// Ids of the events that were taken. A real service keeps them where it keeps what it does with them, in the same
// transaction, so that a crash between the two takes no event twice and loses none.
const taken = new Set();

function isSigned(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures = "" } = headers;
  // A copy of an old POST is refused. NaN fails as well.
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= 300)) return false;
  const signed = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${signed}`);
  // While a secret is replaced, there are two signatures.
  const given = signatures.split(" ").map((one) => Buffer.from(one));
  return given.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  if (!isSigned(request.headers, body)) return response.writeHead(401).end();
  const event = request.headers["webhook-id"];
  if (!taken.has(event)) {
    const content = JSON.parse(body).body;
    console.log(event, content.type, content.status ?? "", content.markdownText ?? "");
    taken.add(event);
  }
  // Only now: without a 2xx, Patchbay posts it again.
  response.writeHead(200).end();
});
server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}/cim`),
);
