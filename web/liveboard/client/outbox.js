// What a page has drawn and the server has not saved, kept in the browser: it survives a reload, and being offline.

import { CodecError } from "../core/bytes.js";
import { openKept } from "./kept.js";

/** @typedef {import("./replica.js").Replica} Replica */
/** @typedef {import("./kept.js").Kept} Kept */
/** @typedef {import("./kept.js").Row} Row */

/** As much of the Web Locks API as is needed here. @typedef {Pick<LockManager, "request">} Locks */

/**
 * The outbox of a room. Where the browser keeps nothing (a private window), `isKept` is false, and all the rest goes on.
 * @param {string} room
 */
export async function openOutbox(room) {
  const kept = await openKept("liveboard");
  // Only there in a secure context; without them two pages may offer the same, which the server takes once.
  return new Outbox(room, kept, /** @type {Locks | undefined} */ (navigator.locks));
}

/**
 * Keeps `replica.unsaved`. Each page holds a lock on its sites while it lives, so that another one takes over what a page
 * left behind, and never what a page next door is about to send.
 */
export class Outbox {
  #room;
  #kept;
  #locks;
  /** What the store has of this page, by key of the row. @type {Map<string, Row>} */
  #stored = new Map();
  /** Sites that this page holds, or has taken over. @type {Set<string>} */
  #held = new Set();
  /** @type {Promise<void> | null} */
  #writing = null;
  /** @type {Replica | null} what is to be written after the write under way */
  #waiting = null;

  /** @param {string} room @param {Kept | null} kept @param {Locks} [locks] */
  constructor(room, kept, locks) {
    this.#room = room;
    this.#kept = kept;
    this.#locks = locks;
  }

  get isKept() {
    return this.#kept !== null;
  }

  /**
   * Makes the store what `replica.unsaved` is, in one transaction: of operations that were stamped anew it has the old
   * names or the new ones, never both and never neither. Resolves when that is on disk, or cannot be (`isKept`).
   * Sending need not wait for it: a page that comes after a crash draws under a site of its own.
   * @param {Replica} replica
   */
  sync(replica) {
    if (!this.#kept) return Promise.resolve();
    this.#waiting = replica;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
    return this.#writing;
  }

  /**
   * Gives the replica what pages that are gone left unsaved in this room; sends nothing. Every page may ask, at any time:
   * each operation is taken over by one.
   * @param {Replica} replica
   * @returns {Promise<Set<string>>} keys of the marks that look different
   */
  async takeOver(replica) {
    /** @type {Set<string>} */
    const changed = new Set();
    try {
      const sites = new Set((await this.#read()).map(({ site }) => site));
      for (const site of sites) if (this.#held.has(site) || !(await this.#hold(site))) sites.delete(site);
      // Read again: until it was gone, its page may have said that something is saved.
      const rows = (await this.#read()).filter(({ site }) => sites.has(site));
      for (const site of sites) {
        const left = rows.filter((row) => row.site === site);
        for (const key of resume(replica, site, left)) changed.add(key);
        for (const row of left) this.#stored.set(keyOf(row), row);
      }
    } catch {
      this.#kept = null;
    }
    return changed;
  }

  async #read() {
    return this.#kept ? this.#kept.read(this.#room) : [];
  }

  async #write() {
    while (this.#kept && this.#waiting) {
      const replica = this.#waiting;
      this.#waiting = null;
      const wanted = rowsOf(this.#room, replica);
      const puts = [...wanted].filter(([key]) => !this.#stored.has(key)).map(([, row]) => row);
      const deletes = [...this.#stored].filter(([key]) => !wanted.has(key)).map(([, row]) => row);
      if (puts.length + deletes.length === 0) continue;
      for (const { site } of puts) if (!this.#held.has(site)) await this.#hold(site);
      try {
        await this.#kept.write(puts, deletes);
      } catch {
        // The disk is full, or the browser has closed the store: the page draws on, and says that nothing is kept.
        this.#kept = null;
        return;
      }
      for (const row of deletes) this.#stored.delete(keyOf(row));
      for (const row of puts) this.#stored.set(keyOf(row), row);
    }
  }

  /** Takes a site until this page ends; false when another page has it. @param {string} site */
  async #hold(site) {
    if (!this.#locks) {
      this.#held.add(site);
      return true;
    }
    const name = `liveboard:${this.#room}:${site}`;
    const locks = this.#locks;
    const isOurs = await new Promise((tell) => {
      void locks.request(name, { ifAvailable: true }, (lock) => {
        tell(lock !== null);
        return lock ? new Promise(() => {}) : undefined;
      });
    });
    if (isOurs) this.#held.add(site);
    return isOurs;
  }
}

/** @param {Replica} replica @param {string} site @param {Row[]} rows */
function resume(replica, site, rows) {
  try {
    return replica.resume({ site, token: rows[0]?.token ?? "" }, rows.map(({ bytes }) => bytes));
  } catch (error) {
    // Written by a page of another version, perhaps: it must not stop the rest.
    if (!(error instanceof CodecError)) throw error;
    return [];
  }
}

/** @param {Row} row */
const keyOf = ({ site, seq }) => `${site}:${seq}`;

/** @param {string} room @param {Replica} replica @returns {Map<string, Row>} by key */
function rowsOf(room, replica) {
  const tokens = new Map([replica.identity, ...replica.earlier].map(({ site, token }) => [site, token]));
  return new Map(
    replica.unsaved.map(({ operation: { site, seq }, bytes }) => {
      const row = { room, site, seq, token: tokens.get(site) ?? "", bytes };
      return [keyOf(row), row];
    }),
  );
}
