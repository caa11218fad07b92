// The canonical encoding of an operation; the grammar is in plugins/liveboard/core/codec.py, which does the same.

import { CodecError, INTEGER_MAX, Reader, SITE_BYTES, Writer } from "./bytes.js";
import * as o from "./operations.js";
import { clearing, erasing, hash, integer, oneOf, place, points, restyling, seqs, targets, text, visible } from "./fields.js";

/** @typedef {import("./types.d.ts").Field} Field */
/** @typedef {import("./types.d.ts").Operation} Operation */

const C = o.COORDINATE_MAX;
const STYLE = [integer("color", 0, o.COLOR_MAX), integer("size", 1, o.SIZE_MAX), integer("opacity", 1, 100)];
const FILL = integer("fill", 0, o.COLOR_MAX + 1);
const PLACE = [place("x", C), place("y", C)];

/** What follows the stamp, by the number of the kind. @type {Record<number, [kind: Operation["kind"], ...Field[]]>} */
const BODIES = {
  1: ["stroke", oneOf("tool", o.TOOLS), ...STYLE, points],
  2: ["shape", oneOf("form", o.SHAPES), ...STYLE, FILL, place("x0", C), place("y0", C), place("x1", C), place("y1", C)],
  3: ["text", oneOf("form", o.TEXTS), ...STYLE, FILL, ...PLACE, integer("width", 0, C), text],
  4: [
    "image",
    oneOf("type", o.IMAGES),
    hash("sha256"),
    integer("fileBytes", 1, o.IMAGE_BYTES_MAX),
    ...PLACE,
    integer("width", 1, C),
    integer("height", 1, C),
  ],
  5: ["visibility", visible, seqs],
  6: ["erase", targets, erasing],
  7: ["move", targets, place("dx", C), place("dy", C)],
  8: ["restyle", targets, restyling],
  9: ["clear", clearing],
  127: ["pruned", hash("hash")],
};

/**
 * The bytes of an operation. Throws `CodecError` when a value is out of its range or its order.
 * @param {Operation} operation
 */
export function encodeOperation(operation) {
  const writer = new Writer();
  const number = Object.keys(BODIES).find((key) => BODIES[Number(key)]?.[0] === operation.kind);
  const [, ...fields] = bodyOf(Number(number ?? 0));
  writer.byte(Number(number));
  writer.hex(operation.site, SITE_BYTES);
  writer.varint(operation.seq, 1);
  writer.varint(operation.lamport, 1);
  for (const field of fields) field.write(writer, operation);
  const bytes = writer.bytes();
  checkLength(bytes);
  return bytes;
}

/**
 * The operation that these bytes are. Throws `CodecError` when they are none.
 * @param {Uint8Array} bytes
 * @returns {Operation}
 */
export function decodeOperation(bytes) {
  checkLength(bytes);
  const reader = new Reader(bytes);
  const [kind, ...fields] = bodyOf(reader.byte());
  const site = reader.hex(SITE_BYTES);
  const stamp = { site, seq: reader.varint(1, INTEGER_MAX, "seq"), lamport: reader.varint(1, INTEGER_MAX, "lamport") };
  const operation = /** @type {Operation} */ ({ kind, ...stamp });
  for (const field of fields) field.read(reader, operation);
  reader.finish();
  return operation;
}

/** @param {number} number */
function bodyOf(number) {
  const body = BODIES[number];
  if (!body) throw new CodecError(`kind ${number} is not known`);
  return body;
}

/** @param {Uint8Array} bytes */
function checkLength(bytes) {
  if (bytes.length > o.OPERATION_BYTES_MAX) throw new CodecError(`an operation of ${bytes.length} bytes is too long`);
}
