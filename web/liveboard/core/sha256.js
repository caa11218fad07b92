// SHA-256 (FIPS 180-4), at once: the browser's own answers later, and on plain HTTP not at all.

/** @type {any} typed arrays, but an index of them is never undefined here */
const K = new Int32Array(64);
/** @type {any} */
const START = new Int32Array(8);
/** @type {any} */
const W = new Int32Array(64);
let scratch = new Uint8Array(1024);

// The constants are the first 32 bits of the fractions of the cube and square roots of the first primes.
for (let candidate = 2, count = 0; count < 64; candidate += 1) {
  let isPrime = true;
  for (let divisor = 2; divisor * divisor <= candidate; divisor += 1) if (candidate % divisor === 0) isPrime = false;
  if (!isPrime) continue;
  if (count < 8) START[count] = (candidate ** (1 / 2) % 1) * 2 ** 32;
  K[count] = (candidate ** (1 / 3) % 1) * 2 ** 32;
  count += 1;
}

/**
 * The hash of the parts one after another.
 * @param {...Uint8Array} parts
 * @returns {Uint8Array} 32 bytes
 */
export function sha256(...parts) {
  let length = 0;
  for (const part of parts) length += part.length;
  const padded = ((length + 72) >>> 6) << 6;
  if (padded > scratch.length) scratch = new Uint8Array(2 * padded);
  let at = 0;
  for (const part of parts) {
    scratch.set(part, at);
    at += part.length;
  }
  scratch.fill(0, length, padded);
  scratch[length] = 0x80;
  const view = new DataView(scratch.buffer);
  view.setUint32(padded - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded - 4, length * 8);
  const state = START.slice();
  for (let block = 0; block < padded; block += 64) compress(state, view, block);
  const hash = new Uint8Array(32);
  const out = new DataView(hash.buffer);
  for (let word = 0; word < 8; word += 1) out.setInt32(4 * word, state[word]);
  return hash;
}

/** @param {any} state @param {DataView} view @param {number} block */
function compress(state, view, block) {
  for (let i = 0; i < 16; i += 1) W[i] = view.getInt32(block + 4 * i);
  for (let i = 16; i < 64; i += 1) {
    const x = W[i - 15];
    const y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = W[i - 16] + s0 + W[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}
