// The messages between a client and the server; docs/liveboard-protocol.md has what each means.

import { CodecError, fromHex, HASH_BYTES, INTEGER_MAX, Reader, SITE_BYTES, toHex, Writer } from "../core/bytes.js";
import { readVersions, writeVersions } from "../core/fields.js";
import { COLOR_MAX, OPERATION_BYTES_MAX } from "../core/operations.js";

export const PROTOCOL_VERSION = 1;
export const TOKEN_BYTES = 16;
export const RECEIPT_BYTES = 16;
export const FRAME_OPERATIONS_MAX = 4096;
export const STATE_BYTES_MAX = 128;
export const INK_BYTES_MAX = 4096;
const MANY = 10_000;

/**
 * @template T
 * @typedef {[write: (writer: Writer, value: any) => void, read: (reader: Reader) => T]} Part
 */

/** @returns {Part<number>} */
const integer = (most = INTEGER_MAX) => [(writer, value) => writer.varint(value, 0, most), (reader) => reader.varint(0, most)];
/** @type {Part<boolean>} */
const flag = [(writer, value) => writer.varint(value ? 1 : 0), (reader) => reader.varint(0, 1) === 1];
/** @param {number} length @returns {Part<string>} */
const hex = (length) => [(writer, value) => writer.hex(value, length), (reader) => reader.hex(length)];
/** @param {number} most @returns {Part<string>} */
const text = (most) => [(writer, value) => writer.text(value, most), (reader) => reader.text(most)];
/** @param {number} most @returns {Part<Uint8Array>} */
const block = (most) => [(writer, value) => writer.block(value), (reader) => reader.block(most)];
/** @type {Part<string>} a hash or nothing */
const optionalHash = [(writer, value) => writer.block(fromHex(value)), (reader) => toHex(reader.block(HASH_BYTES))];
/** @type {Part<[string, number][]>} */
const versions = [(writer, value) => writeVersions(writer, value, 4096), (reader) => readVersions(reader, 4096)];
/** @param {Part<any>} part @param {number} [most] @returns {Part<any[]>} */
const many = ([write, read], most = MANY) => [
  (writer, values) => {
    writer.varint(values.length, 0, most, "a count");
    for (const value of values) write(writer, value);
  },
  (reader) => Array.from({ length: reader.varint(0, most, "a count") }, () => read(reader)),
];
/** @param {Record<string, Part<any>>} parts @returns {Part<any>} */
const record = (parts) => [
  (writer, value) => {
    for (const [name, [write]] of Object.entries(parts)) write(writer, value[name]);
  },
  (reader) => {
    /** @type {Record<string, any>} */
    const value = {};
    for (const [name, [, read]] of Object.entries(parts)) value[name] = read(reader);
    return value;
  },
];

const int = integer();
const site = hex(SITE_BYTES);
const hash = hex(HASH_BYTES);
const token = hex(TOKEN_BYTES);
const operation = block(OPERATION_BYTES_MAX);
const signed = many(record({ receipt: hex(RECEIPT_BYTES), bytes: operation }), FRAME_OPERATIONS_MAX);
const person = record({ number: int, site, role: int, color: integer(COLOR_MAX), name: text(96) });
const move = record({ person: int, state: block(STATE_BYTES_MAX), inks: many(block(INK_BYTES_MAX), 64) });

/** @type {Record<number, [type: string, parts: Record<string, Part<any>>]>} */
const FRAMES = {
  1: [
    "hello",
    { version: int, site, token, key: text(128), password: text(128), name: text(96), color: integer(COLOR_MAX), rev: int, digest: hash },
  ],
  2: ["offer", { operations: many(operation, FRAME_OPERATIONS_MAX) }],
  3: ["restore", { operations: signed }],
  4: ["presence", { state: block(STATE_BYTES_MAX), ink: block(INK_BYTES_MAX) }],
  5: ["ping", { number: int }],
  6: ["probe", { level: int, index: int }],
  7: ["report", { rev: int, digest: hash }],
  8: ["claim", { site, token }],
  9: ["known", { versions }],
  129: ["welcome", { version: int, role: int, person: int, rev: int, floor: int, resync: flag, others: flag, title: text(96), versions }],
  130: ["committed", { rev: int, operations: signed }],
  131: ["synced", { rev: int, digest: hash }],
  132: ["have", { site, seq: int }],
  133: ["refused", { site, seq: int, reason: int, detail: int }],
  134: ["people", { whole: flag, people: many(person), left: many(int) }],
  135: ["moves", { moves: many(move) }],
  136: ["pong", { number: int }],
  137: ["nodes", { rev: int, height: int, root: hash, level: int, index: int, left: optionalHash, right: optionalHash }],
  138: ["reports", { reports: many(record({ person: int, rev: int, digest: hash })) }],
  139: ["bye", { reason: int, retryMs: int, text: text(256) }],
  140: ["pruned", { floor: int, operations: many(operation, FRAME_OPERATIONS_MAX) }],
};

/**
 * The bytes of a frame: `{ type, … }` with the fields of its type. Throws `CodecError`.
 * @param {{type: string, [field: string]: any}} frame
 */
export function encodeFrame(frame) {
  for (const [number, [type, parts]] of Object.entries(FRAMES)) {
    if (type !== frame.type) continue;
    const writer = new Writer();
    writer.byte(Number(number));
    record(parts)[0](writer, frame);
    return writer.bytes();
  }
  throw new CodecError(`frame ${frame.type} is not known`);
}

/**
 * Throws `CodecError` when the bytes are no frame.
 * @param {Uint8Array} bytes
 * @returns {{type: string, [field: string]: any}}
 */
export function decodeFrame(bytes) {
  const reader = new Reader(bytes);
  const number = reader.byte();
  const known = FRAMES[number];
  if (!known) throw new CodecError(`frame ${number} is not known`);
  const frame = record(known[1])[1](reader);
  reader.finish();
  return { type: known[0], ...frame };
}
