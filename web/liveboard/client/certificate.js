// Certificates checked without the server: everything a board's certificate says is recomputed from its operations.

import { CodecError, fromHex } from "../core/bytes.js";
import { entryOf, OperationSet } from "../core/opset.js";
import { Picture } from "../core/picture.js";

/** @typedef {import("../core/types.d.ts").Entry} Entry */

export const FORMAT = "liveboard-certificate-1";

/** The certificate does not hold. The message says where. */
export class CertificateError extends Error {
  /** @override */
  name = "CertificateError";
}

/**
 * What was found. The signature is `valid`, or `unchecked` where the browser has no Ed25519 or the page came over plain HTTP.
 * @typedef {object} Found
 * @property {"holds"} verdict
 * @property {string} room
 * @property {number} rev
 * @property {string} digest
 * @property {string} root
 * @property {number} sites
 * @property {string} picture SHA-256 of what shows
 * @property {string} key the public key, in hex
 * @property {"valid" | "unchecked"} signature
 */

/**
 * A certificate's operations, in the order of their revisions.
 * @param {any} certificate
 * @returns {Entry[]}
 * @throws {CertificateError}
 */
export function entriesOf(certificate) {
  if (certificate?.format !== FORMAT || !Array.isArray(certificate.operations)) throw new CertificateError(`it is no ${FORMAT}`);
  return certificate.operations.map((/** @type {any} */ each, /** @type {number} */ at) => {
    try {
      return entryOf(fromHex(each?.bytes ?? null));
    } catch (error) {
      if (!(error instanceof CodecError || error instanceof TypeError)) throw error;
      throw new CertificateError(`revision ${at + 1} is no operation: ${error.message}`);
    }
  });
}

/**
 * Recomputes what a certificate says, and checks its signature.
 * @param {any} certificate
 * @param {string} [key] the room's as known from elsewhere; without it, whoever has the certificate's own key signed it
 * @returns {Promise<Found>}
 * @throws {CertificateError}
 */
export async function verifyCertificate(certificate, key) {
  const set = new OperationSet();
  const picture = new Picture();
  for (const [at, entry] of entriesOf(certificate).entries()) {
    if (set.add(entry) !== "new") throw new CertificateError(`revision ${at + 1} repeats an operation`);
    picture.add(entry.operation);
  }
  const found = { rev: set.size, digest: set.digest, root: set.root };
  for (const [name, value] of Object.entries(found)) {
    if (certificate[name] !== value) throw new CertificateError(`its ${name} is ${certificate[name]}, and that of its operations ${value}`);
  }
  const gapless = [...set.versions.values()].reduce((sum, seq) => sum + seq, 0);
  if (gapless !== set.size) throw new CertificateError(`${set.size - gapless} operations stand behind a gap`);
  if (key !== undefined && certificate.key !== key) throw new CertificateError(`it is signed with the key ${certificate.key}, and not with ${key}`);
  const signature = await checkSignature(certificate);
  return { verdict: "holds", room: certificate.room, ...found, sites: set.versions.size, picture: picture.digest(), key: certificate.key, signature };
}

/** @param {any} certificate @returns {Promise<"valid" | "unchecked">} */
async function checkSignature({ room, rev, digest, root, key, signature }) {
  const statement = new TextEncoder().encode(`${FORMAT} ${room}\n${rev}\n${digest}\n${root}\n`);
  /** @type {Uint8Array<ArrayBuffer>[]} */
  let [publicKey, signed] = [];
  try {
    [publicKey, signed] = [fromHex(key, 32), fromHex(signature, 64)];
  } catch {
    throw new CertificateError("it is not signed");
  }
  const imported = await importKey(publicKey);
  if (!imported) return "unchecked";
  if (!(await crypto.subtle.verify("Ed25519", imported, signed, statement))) throw new CertificateError("the signature is not that of its key");
  return "valid";
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function importKey(bytes) {
  try {
    return await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
  } catch {
    return null;
  }
}
