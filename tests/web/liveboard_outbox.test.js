import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../web/liveboard/client/outbox.js";
import { Replica } from "../../web/liveboard/client/replica.js";

const STROKE = /** @type {any} */ ({ kind: "stroke", tool: "pen", color: 1, size: 8, opacity: 100, points: [1, 2, 3, 4], pressures: null });
let drawn = 0;
function identity() {
  drawn += 1;
  return { site: drawn.toString(16).padStart(16, "a"), token: drawn.toString(16).padStart(32, "b") };
}

/** A browser's store, which its pages share: writes are whole, and may be held back. */
class Store {
  /** @type {Map<string, any>} */
  rows = new Map();
  writes = 0;
  /** @type {Promise<void>} */
  gate = Promise.resolve();
  isFull = false;

  /** @param {string} room */
  async read(room) {
    const rows = [...this.rows.values()].filter((row) => row.room === room);
    return rows.sort((one, other) => (one.site === other.site ? one.seq - other.seq : one.site < other.site ? -1 : 1));
  }

  /** @param {any[]} puts @param {any[]} deletes */
  async write(puts, deletes) {
    await this.gate;
    if (this.isFull) throw new Error("quota");
    this.writes += 1;
    for (const { room, site, seq } of deletes) this.rows.delete(`${room}/${site}/${seq}`);
    for (const row of puts) this.rows.set(`${row.room}/${row.site}/${row.seq}`, row);
  }
}

/** Locks of a browser. A page that is gone lets go of its own. */
class Locks {
  /** @type {Map<string, object>} */
  held = new Map();

  /** @param {object} page */
  of(page) {
    const request = async (/** @type {string} */ name, /** @type {unknown} */ options, /** @type {(lock: unknown) => unknown} */ callback) => {
      if (this.held.has(name)) return callback(null);
      this.held.set(name, page);
      return callback({ name });
    };
    return /** @type {any} */ ({ request });
  }

  /** @param {object} page */
  end(page) {
    for (const [name, holder] of this.held) if (holder === page) this.held.delete(name);
  }
}

/** @param {Store} store @param {Locks} locks */
function open(store, locks, room = "room") {
  const page = {};
  const replica = new Replica(identity);
  return { page, replica, outbox: new Outbox(room, store, locks.of(page)) };
}

/** @param {Replica} replica @param {number} seq says that what its own site made up to `seq` is saved */
const have = (replica, seq) => replica.receive({ type: "have", site: replica.identity.site, seq });

test("what is not saved survives the page, and the next page finishes it under the site it has", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const before = open(store, locks);
  for (let count = 0; count < 3; count += 1) before.replica.make(STROKE);
  await before.outbox.sync(before.replica);
  have(before.replica, 1);
  await before.outbox.sync(before.replica);
  locks.end(before.page);

  const after = open(store, locks);
  const changed = await after.outbox.takeOver(after.replica);
  assert.equal(changed.size, 2);
  assert.deepEqual(after.replica.unsaved.map(({ operation: { site, seq } }) => [site, seq]), [2, 3].map((seq) => [before.replica.identity.site, seq]));
  assert.deepEqual(after.replica.offers().map(({ type }) => type), ["claim", "offer"]);
  assert.equal((await after.outbox.takeOver(after.replica)).size, 0, "it is taken over once");
  assert.equal(after.replica.unsaved.length, 2);
  after.replica.receive({ type: "have", site: before.replica.identity.site, seq: 3 });
  await after.outbox.sync(after.replica);
  assert.equal(store.rows.size, 0);
});

test("what a page next door is about to send stays its own until it is gone, and then goes to one page", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const [one, two, three] = [open(store, locks), open(store, locks), open(store, locks)];
  one.replica.make(STROKE);
  await one.outbox.sync(one.replica);
  assert.equal((await two.outbox.takeOver(two.replica)).size, 0);
  locks.end(one.page);
  const [second, third] = await Promise.all([two, three].map(({ outbox, replica }) => outbox.takeOver(replica)));
  assert.equal(Number(second?.size) + Number(third?.size), 1);
});

test("while a site is taken over nothing of it is forgotten", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const pages = [open(store, locks), open(store, locks)];
  for (const { replica, outbox, page } of pages) {
    replica.make(STROKE);
    await outbox.sync(replica);
    locks.end(page);
  }
  const after = open(store, locks);
  const taking = after.outbox.takeOver(after.replica);
  after.replica.make(STROKE);
  await Promise.all([taking, after.outbox.sync(after.replica)]);
  assert.equal(after.replica.unsaved.length, 3);
  await after.outbox.sync(after.replica);
  assert.equal(store.rows.size, 3);
});

test("other rooms' operations are left alone", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const other = open(store, locks, "other");
  other.replica.make(STROKE);
  await other.outbox.sync(other.replica);
  locks.end(other.page);
  const page = open(store, locks);
  assert.equal((await page.outbox.takeOver(page.replica)).size, 0);
});

test("operations stamped anew take the place of the old ones in one write", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const { replica, outbox } = open(store, locks);
  const first = replica.identity.site;
  replica.make(STROKE);
  replica.make(STROKE);
  await outbox.sync(replica);
  const writes = store.writes;
  replica.receive({ type: "refused", site: first, seq: 1, reason: 5, detail: 0 });
  await outbox.sync(replica);
  assert.equal(store.writes, writes + 1);
  assert.deepEqual([...store.rows.values()].map(({ site, seq, token }) => [site, seq, token]), [1, 2].map((seq) => [replica.identity.site, seq, replica.identity.token]));
});

test("what is asked for during a write is written after it, all at once", async () => {
  const [store, locks] = [new Store(), new Locks()];
  const { replica, outbox } = open(store, locks);
  /** @type {any} */
  let release;
  store.gate = new Promise((resolve) => (release = resolve));
  const writing = [];
  for (let count = 0; count < 50; count += 1) {
    replica.make(STROKE);
    writing.push(outbox.sync(replica));
  }
  release();
  await Promise.all(writing);
  assert.equal(store.rows.size, 50);
  assert.ok(store.writes <= 2, `${store.writes} writes`);
});

test("what cannot be read does not stop the rest", async () => {
  const [store, locks] = [new Store(), new Locks()];
  for (let count = 0; count < 2; count += 1) {
    const { replica, outbox, page } = open(store, locks);
    replica.make(STROKE);
    await outbox.sync(replica);
    locks.end(page);
  }
  const [row] = store.rows.values();
  row.bytes = Uint8Array.of(200, 1, 2);
  const after = open(store, locks);
  assert.equal((await after.outbox.takeOver(after.replica)).size, 1);
  assert.equal(after.outbox.isKept, true);
});

test("where nothing can be kept, everything else goes on", async () => {
  const locks = new Locks();
  const store = new Store();
  store.isFull = true;
  const full = open(store, locks);
  full.replica.make(STROKE);
  await full.outbox.sync(full.replica);
  assert.equal(full.outbox.isKept, false);
  const none = new Outbox("room", null);
  await none.sync(full.replica);
  assert.equal((await none.takeOver(full.replica)).size, 0);
});
