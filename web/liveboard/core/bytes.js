// Bytes read and written in the board's grammar: one way to write a value, and no other is read.

/** Bytes or values that are not one of the board's records. */
export class CodecError extends Error {
  /** @override */
  name = "CodecError";
}

export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
const SIGNED_MIN = -(2 ** 52);
const SIGNED_MAX = 2 ** 52 - 1;
export const SITE_BYTES = 8;
export const HASH_BYTES = 32;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** @param {string} text @param {number} [length] in bytes */
export function fromHex(text, length = text.length / 2) {
  if (typeof text !== "string" || text.length !== 2 * length || !/^([0-9a-f]{2})*$/.test(text)) {
    throw new CodecError(`${text} is not ${length} bytes in lower-case hex`);
  }
  return Uint8Array.from({ length }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

/** @param {number} value @param {number} low @param {number} high @param {string} name */
export function checkInteger(value, low, high, name) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new CodecError(`${name} is ${value}, not an integer from ${low} to ${high}`);
  }
  return value;
}

/** Collects bytes. Throws `CodecError` for what the grammar cannot say. */
export class Writer {
  #data = new Uint8Array(256);
  #length = 0;

  bytes() {
    return this.#data.slice(0, this.#length);
  }

  /** @param {number} value */
  byte(value) {
    this.#room(1);
    this.#data[this.#length++] = checkInteger(value, 0, 255, "a byte");
  }

  /** @param {Uint8Array} value */
  raw(value) {
    this.#room(value.length);
    this.#data.set(value, this.#length);
    this.#length += value.length;
  }

  /** @param {string} text @param {number} length in bytes */
  hex(text, length) {
    this.raw(fromHex(text, length));
  }

  /** @param {number} value */
  varint(value, low = 0, high = INTEGER_MAX, name = "a number") {
    checkInteger(value, low, high, name);
    this.#room(8);
    // Shifts would cut at 32 bits.
    while (value > 0x7f) {
      this.#data[this.#length++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    this.#data[this.#length++] = value;
  }

  /** @param {number} value */
  signed(value, low = SIGNED_MIN, high = SIGNED_MAX, name = "a number") {
    checkInteger(value, low, high, name);
    this.varint(value >= 0 ? 2 * value : -2 * value - 1);
  }

  /** @param {Uint8Array} value */
  block(value) {
    this.varint(value.length);
    this.raw(value);
  }

  /** @param {string} value @param {number} bytesMax */
  text(value, bytesMax) {
    const bytes = encoder.encode(value);
    // The encoder puts U+FFFD for half a surrogate pair, without a word.
    if (decoder.decode(bytes) !== value) throw new CodecError("a text holds half a surrogate pair");
    this.varint(bytes.length, 0, bytesMax);
    this.raw(bytes);
  }

  /** @param {number} more */
  #room(more) {
    if (this.#length + more <= this.#data.length) return;
    const larger = new Uint8Array(2 * (this.#length + more));
    larger.set(this.#data);
    this.#data = larger;
  }
}

/** Reads bytes. Throws `CodecError` on the first byte that is not as a `Writer` writes. */
export class Reader {
  at = 0;

  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
  }

  byte() {
    const value = this.data[this.at++];
    if (value === undefined) throw new CodecError(`it ends at byte ${this.data.length}, in the middle`);
    return value;
  }

  /** @param {number} length */
  raw(length) {
    const start = this.at;
    this.at += length;
    if (this.at > this.data.length) throw new CodecError(`it ends at byte ${this.data.length}, in the middle`);
    return this.data.subarray(start, this.at);
  }

  /** @param {number} length */
  hex(length) {
    return toHex(this.raw(length));
  }

  varint(low = 0, high = INTEGER_MAX, name = "a number") {
    let byte = this.byte();
    let value = byte & 0x7f;
    for (let weight = 128; byte >= 0x80; weight *= 128) {
      byte = this.byte();
      value += (byte & 0x7f) * weight;
      // At most eight bytes, the last of which is not empty.
      if (byte === 0 || weight >= 2 ** 56) throw new CodecError(`${name} before byte ${this.at} is misspelt`);
    }
    return checkInteger(value, low, high, name);
  }

  signed(low = SIGNED_MIN, high = SIGNED_MAX, name = "a number") {
    const coded = this.varint();
    return checkInteger(coded % 2 ? -(coded - 1) / 2 - 1 : coded / 2, low, high, name);
  }

  block(bytesMax = INTEGER_MAX) {
    return this.raw(this.varint(0, bytesMax));
  }

  /** @param {number} bytesMax */
  text(bytesMax) {
    const bytes = this.block(bytesMax);
    try {
      return decoder.decode(bytes);
    } catch {
      throw new CodecError(`the text before byte ${this.at} is not UTF-8`);
    }
  }

  finish() {
    if (this.at !== this.data.length) throw new CodecError(`${this.data.length - this.at} bytes too many`);
  }
}
