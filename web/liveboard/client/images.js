// Images by the hash of their file: kept beside the board, fetched once, and shown only if they are what the hash says.

import { Problem, problemFrom } from "../../assets/fetch.js";

import { toHex } from "../core/bytes.js";
import { sha256 } from "../core/sha256.js";

/** Images that stay decoded; of more, those not asked for the longest go. */
const DECODED_MAX = 64;
/** How long one that was not there is not asked for again. */
const MISSING_MS = 5000;
const TIMEOUT_MS = 30_000;

/** What the host says of an image it keeps. @typedef {{sha256: string, bytes: number, type: string, url: string}} KeptImage */

/** @typedef {{bitmap: ImageBitmap | null, asking: Promise<ImageBitmap | null>, at: number}} Known */

export class Images {
  #url;
  #headers;
  /** By hash, the one asked for last at the end. @type {Map<string, Known>} */
  #known = new Map();

  /** @param {string} room @param {Record<string, string>} headers of the room's key and password, if it has them */
  constructor(room, headers) {
    this.#url = `/api/liveboard/rooms/${room}/images`;
    this.#headers = headers;
  }

  /**
   * Keeps an image beside the board; then an operation may name it.
   * @param {Blob} file with its type
   * @returns {Promise<KeptImage>}
   * @throws {Problem} 413: too large, or too many in this room; 415: none of png, jpeg, webp and gif
   */
  async put(file) {
    const response = await this.#fetch(this.#url, { method: "POST", body: file, headers: { "content-type": file.type } });
    return response.json();
  }

  /** An image that is here already, for drawing. @param {string} hash */
  peek(hash) {
    return this.#known.get(hash)?.bitmap ?? undefined;
  }

  /** @param {string} hash @returns {Promise<ImageBitmap | null>} null when it is not there, or is not what its hash says */
  get(hash) {
    let known = this.#known.get(hash);
    this.#known.delete(hash);
    if (!known || (known.at && !known.bitmap && performance.now() - known.at > MISSING_MS)) known = this.#ask(hash);
    this.#known.set(hash, known);
    for (const [oldest] of this.#known) if (this.#known.size > DECODED_MAX) this.#known.delete(oldest);
    return known.asking;
  }

  /** The file itself, to go along with an exported board. @param {string} hash @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async file(hash) {
    try {
      const response = await this.#fetch(`${this.#url}/${hash}`, { headers: {} });
      const bytes = new Uint8Array(await response.arrayBuffer());
      return toHex(sha256(bytes)) === hash ? bytes : null;
    } catch {
      return null;
    }
  }

  /** @param {string} hash @returns {Known} */
  #ask(hash) {
    /** @type {Known} */
    const known = { bitmap: null, at: 0, asking: Promise.resolve(null) };
    known.asking = this.file(hash)
      .then((bytes) => bytes && createImageBitmap(new Blob([bytes])))
      .catch(() => null)
      .then((bitmap) => {
        known.at = performance.now();
        return (known.bitmap = bitmap);
      });
    return known;
  }

  /** @param {string} url @param {{method?: string, body?: Blob, headers: Record<string, string>}} options */
  async #fetch(url, { headers, ...options }) {
    let response;
    try {
      response = await fetch(url, { ...options, headers: { ...this.#headers, ...headers }, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw new Problem({ kind: "offline", detail: "The connection failed." });
    }
    if (!response.ok) throw problemFrom(response, await response.text());
    return response;
  }
}
