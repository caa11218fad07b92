// Draws a waiting room's lottery again from what the house published, and says whether it was drawn that way.

/**
 * @typedef {object} Draw what `/queue/lottery` answers
 * @property {string} seed hex
 * @property {string} seed_sha256
 * @property {string} entrants_sha256
 * @property {{ticket: string, place: number}[]} places
 */
/** @typedef {{name: string, holds: boolean}} Finding */

const text = new TextEncoder();

/**
 * @param {Draw} draw
 * @param {string} committed the seed's hash as it was published before the opening; "" when it was not seen then
 * @param {SubtleCrypto} subtle
 * @returns {Promise<Finding[]>}
 */
export async function checkLottery(draw, committed, subtle) {
  const seed = Uint8Array.from(draw.seed.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const seedHash = hex(await subtle.digest("SHA-256", seed));
  const tickets = draw.places.map(({ ticket }) => ticket).sort();
  const entrants = hex(await subtle.digest("SHA-256", text.encode(tickets.map((ticket) => `${ticket}\n`).join(""))));
  const key = await subtle.importKey("raw", seed, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const lots = await Promise.all(tickets.map(async (ticket) => ({ ticket, lot: hex(await subtle.sign("HMAC", key, text.encode(ticket))) })));
  lots.sort((a, b) => (a.lot < b.lot ? -1 : a.lot > b.lot ? 1 : a.ticket < b.ticket ? -1 : 1));
  const placeOf = new Map(draw.places.map(({ ticket, place }) => [ticket, place]));
  const when = committed === "" ? "is published" : "was published before the opening";
  return [
    { name: `The seed has the hash that ${when}.`, holds: seedHash === (committed || draw.seed_sha256) },
    { name: "The tickets are those that were in at the opening.", holds: entrants === draw.entrants_sha256 },
    { name: "Every place is the one that seed and ticket give.", holds: lots.every(({ ticket }, place) => placeOf.get(ticket) === place + 1) },
  ];
}

/** @param {ArrayBuffer} bytes */
function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
