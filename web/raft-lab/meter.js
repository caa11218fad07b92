// How much the page hears: frames and bytes a second over the last few seconds. Pure.

const WINDOW_MS = 4000;
/** Of each event beside its data: the names of its fields, and line ends. */
const FRAMING_BYTES = 20;

export class Meter {
  /** @type {{at_ms: number, bytes: number}[]} */
  #heard = [];

  /**
   * @param {{type: string, data: string, id: string}} event
   * @param {number} now_ms
   */
  hear({ type, data, id }, now_ms) {
    // The host writes ASCII but for what people typed: characters are bytes, near enough.
    this.#heard.push({ at_ms: now_ms, bytes: type.length + data.length + id.length + FRAMING_BYTES });
  }

  /**
   * @param {number} now_ms
   * @returns {{frames_per_s: number, bytes_per_s: number}}
   */
  read(now_ms) {
    this.#heard = this.#heard.filter(({ at_ms }) => at_ms > now_ms - WINDOW_MS);
    const bytes = this.#heard.reduce((sum, event) => sum + event.bytes, 0);
    return { frames_per_s: (this.#heard.length * 1000) / WINDOW_MS, bytes_per_s: (bytes * 1000) / WINDOW_MS };
  }

  /** Begins anew. */
  clear() {
    this.#heard = [];
  }
}
