// A client written from docs/liveboard-protocol.md alone, with nothing of ours: URL STROKES UNTIL [folder of the ws package].
// Without a folder it is Node's own WebSocket, which is undici's.

import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";

const [url, strokes, until, peers] = process.argv.slice(2);
const Socket = peers ? createRequire(`${peers}/`)("ws").WebSocket : WebSocket;

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}
const signed = (value) => varint(value >= 0 ? 2 * value : -2 * value - 1);
const block = (bytes) => Buffer.concat([varint(bytes.length), bytes]);

const site = randomBytes(8);
let rev = 0;
let highest = 0;
const operations = [];

function hello() {
  const start = Buffer.concat([Buffer.from([1]), varint(1), site, randomBytes(16)]);
  return Buffer.concat([start, block(Buffer.of()), block(Buffer.of()), block(Buffer.from("étranger")), varint(0x7247d6), varint(0), Buffer.alloc(32)]);
}

function offer() {
  const made = Array.from({ length: Number(strokes) }, (_, at) => {
    highest += 1;
    const stamp = Buffer.concat([Buffer.of(2), site, varint(at + 1), varint(highest)]);
    // A rectangle: its form, its style, no fill, and two corners.
    return Buffer.concat([stamp, Buffer.of(3), varint(0x7247d6), varint(24), varint(80), varint(0), ...[-8 * at, 16, 800, 8 * at].map(signed)]);
  });
  return Buffer.concat([Buffer.of(2), varint(made.length), ...made.map(block)]);
}

function take(message) {
  let at = 1;
  const bytes = (count) => message.subarray((at += count) - count, at);
  const number = () => {
    let value = 0;
    for (let weight = 1; ; weight *= 128) {
      const [byte] = bytes(1);
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
  };
  const kind = message[0];
  if (kind === 130) {
    if (number() !== rev + 1) throw new Error(`revision ${rev + 1} is missing`);
    for (let count = number(); count > 0; count -= 1) {
      bytes(16);
      const operation = bytes(number());
      const end = at;
      at = end - operation.length + 1;
      const key = { site: bytes(8), seq: number(), lamport: number(), leaf: sha256(Buffer.of(0), operation) };
      at = end;
      operations.push(key);
      highest = Math.max(highest, key.lamport);
      rev += 1;
    }
  } else if (kind === 131) {
    if (number() !== rev || bytes(32).toString("hex") !== digest()) throw new Error("another digest");
    socket.send(offer());
  } else if (kind === 133 || kind === 139) throw new Error(`the server refused: ${message.toString("hex")}`);
}

const digest = () => (operations.reduce((sum, { leaf }) => sum + BigInt(`0x${leaf.toString("hex")}`), 0n) % 2n ** 256n).toString(16).padStart(64, "0");

function root() {
  const order = (one, other) => one.lamport - other.lamport || Buffer.compare(one.site, other.site) || one.seq - other.seq;
  let level = [...operations].sort(order).map(({ leaf }) => leaf);
  while (level.length > 1) {
    level = level.flatMap((left, at) => (at % 2 ? [] : [level[at + 1] ? sha256(Buffer.of(1), left, level[at + 1]) : left]));
  }
  return level[0].toString("hex");
}

const socket = new Socket(url);
socket.binaryType = "arraybuffer";
socket.onopen = () => socket.send(hello());
socket.onmessage = ({ data }) => {
  if (rev >= Number(until)) return;
  take(Buffer.from(data));
  if (rev < Number(until)) return;
  console.log(digest(), root());
  socket.close();
};
socket.onclose = () => {
  if (rev < Number(until)) throw new Error("the connection ended");
};
