// The event stream format (WHATWG HTML, 9.2.6), cut at any place. Pure.

const LONGEST_EVENT_CHARS = 4_000_000;

/**
 * @typedef {object} ServerEvent
 * @property {string} type "message" when the server named none
 * @property {string} data
 * @property {string} id the last id seen so far
 */

/** Turns pieces of text into events; keeps what is not complete yet. */
export class EventParser {
  #rest = "";
  #type = "";
  /** @type {string[]} */
  #data = [];
  #chars = 0;
  lastId = "";

  /**
   * @param {string} text
   * @returns {ServerEvent[]} the events that `text` completes
   * @throws {RangeError} when one event passes 4 million characters
   */
  push(text) {
    this.#rest += text;
    /** @type {ServerEvent[]} */
    const events = [];
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (end === null) break;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      if (line === "") this.#dispatch(events);
      else this.#field(line);
    }
    if (this.#chars + this.#rest.length > LONGEST_EVENT_CHARS) throw new RangeError("event too long");
    return events;
  }

  /** @param {ServerEvent[]} events */
  #dispatch(events) {
    if (this.#data.length > 0) {
      events.push({ type: this.#type || "message", data: this.#data.join("\n"), id: this.lastId });
    }
    this.#type = "";
    this.#data = [];
    this.#chars = 0;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#type = value;
    else if (name === "data") {
      this.#data.push(value);
      this.#chars += value.length;
    } else if (name === "id" && !value.includes("\0")) this.lastId = value;
  }
}
