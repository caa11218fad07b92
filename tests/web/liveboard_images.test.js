import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Images } from "../../web/liveboard/client/images.js";
import { toHex } from "../../web/liveboard/core/bytes.js";
import { sha256 } from "../../web/liveboard/core/sha256.js";

const FILE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47);
const HASH = toHex(sha256(FILE));
/** @type {[url: string, options: any][]} */
let asked = [];
/** @type {() => Response} */
let answer;

beforeEach(() => {
  asked = [];
  answer = () => new Response(FILE);
  mock.method(globalThis, "fetch", async (/** @type {string} */ url, /** @type {any} */ options) => {
    asked.push([url, options]);
    return answer();
  });
  Object.assign(globalThis, { createImageBitmap: async (/** @type {Blob} */ blob) => ({ size: blob.size }) });
});
afterEach(() => mock.restoreAll());

test("an image is fetched once, with the room's key, and is there for drawing after that", async () => {
  const images = new Images("room", { "x-liveboard-key": "k" });
  assert.equal(images.peek(HASH), undefined);
  const [one, two] = await Promise.all([images.get(HASH), images.get(HASH)]);
  assert.deepEqual([one, two, images.peek(HASH)], [{ size: 4 }, one, one]);
  assert.deepEqual(asked.map(([url, { headers }]) => [url, headers]), [[`/api/liveboard/rooms/room/images/${HASH}`, { "x-liveboard-key": "k" }]]);
  assert.deepEqual(await images.file(HASH), FILE);
});

test("an image that is not what its hash says, or is not there, is not shown and not asked for at once again", async () => {
  const images = new Images("room", {});
  assert.equal(await images.get("00".repeat(32)), null);
  answer = () => new Response("{}", { status: 404 });
  assert.equal(await images.get(HASH), null);
  await images.get(HASH);
  assert.equal(asked.length, 2);
});

test("only so many stay decoded", async () => {
  const images = new Images("room", {});
  for (let number = 0; number < 70; number += 1) {
    const file = Uint8Array.of(number);
    answer = () => new Response(file);
    await images.get(toHex(sha256(file)));
  }
  assert.equal(images.peek(toHex(sha256(Uint8Array.of(0)))), undefined);
  assert.ok(images.peek(toHex(sha256(Uint8Array.of(69)))));
});

test("an image is kept with its type, and a refusal is told as the host tells it", async () => {
  const images = new Images("room", {});
  answer = () => Response.json({ sha256: HASH, bytes: 4, type: "image/png", url: "/x" }, { status: 201 });
  assert.equal((await images.put(new Blob([FILE], { type: "image/png" }))).sha256, HASH);
  assert.equal(asked[0]?.[1].headers["content-type"], "image/png");
  answer = () => Response.json({ title: "Content Too Large" }, { status: 413 });
  await assert.rejects(images.put(new Blob([FILE])), { name: "Problem", status: 413 });
  mock.method(globalThis, "fetch", () => Promise.reject(new TypeError("no network")));
  await assert.rejects(images.put(new Blob([FILE])), { name: "Problem", kind: "offline" });
});
