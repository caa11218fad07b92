// Rows of unsaved operations in IndexedDB: all of a room are read at once, and changes are written together or not at all.

const VERSION = 1;
const ROWS = "unsaved";

/**
 * An operation that is not saved yet; its site's secret comes with it.
 * @typedef {{room: string, site: string, seq: number, token: string, bytes: Uint8Array}} Row
 */

/**
 * @typedef {object} Kept
 * @property {(room: string) => Promise<Row[]>} read a room's rows by site and seq
 * @property {(puts: Row[], deletes: Row[]) => Promise<void>} write resolves when it is on disk, all of it
 */

/**
 * Opens the store; null where the browser has none for this page.
 * @param {string} name
 * @returns {Promise<Kept | null>}
 */
export async function openKept(name) {
  try {
    const opening = indexedDB.open(name, VERSION);
    opening.onupgradeneeded = () => opening.result.createObjectStore(ROWS, { keyPath: ["room", "site", "seq"] });
    const database = await done(opening);
    // Another page wants a later version of the store: let it, this one is kept no longer.
    database.onversionchange = () => database.close();
    return {
      read: (room) => read(database, room),
      write: (puts, deletes) => write(database, puts, deletes),
    };
  } catch {
    return null;
  }
}

/** @param {IDBDatabase} database @param {string} room @returns {Promise<Row[]>} */
async function read(database, room) {
  const rows = database.transaction(ROWS).objectStore(ROWS);
  // An array sorts behind every string and number: this is the end of the room.
  return done(rows.getAll(IDBKeyRange.bound([room], [room, []])));
}

/** @param {IDBDatabase} database @param {Row[]} puts @param {Row[]} deletes */
async function write(database, puts, deletes) {
  const transaction = database.transaction(ROWS, "readwrite", { durability: "strict" });
  const rows = transaction.objectStore(ROWS);
  for (const row of puts) rows.put(row);
  for (const { room, site, seq } of deletes) rows.delete([room, site, seq]);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
