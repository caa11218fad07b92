// The proof that one can take home: the board's certificate, downloaded, or checked on this page.

import { explain, requestJson } from "/assets/fetch.js";
import { byId, fieldById } from "./elements.js";
import { headersOf } from "./place.js";

/** @typedef {import("./desk.js").Desk} Desk */

/** @param {Desk} desk @param {string} room */
export function certificates(desk, room) {
  const fetched = async () => (await requestJson(`/api/liveboard/rooms/${room}/certificate`, { headers: headersOf(desk.board.person), timeout_ms: 60_000 })).data;
  const note = (/** @type {string} */ words) => (byId("certificate-note").textContent = words);
  /** @param {() => Promise<string>} work what it comes to, in words */
  const run = async (work) => {
    note("…");
    note(await work().catch((error) => (error instanceof Error && error.name === "CertificateError" ? `It does not hold: ${error.message}` : explain(error).headline)));
  };
  byId("certificate-save").addEventListener("click", () => void run(async () => {
    const [certificate, { save }] = await Promise.all([fetched(), import("./files.js")]);
    save(new Blob([JSON.stringify(certificate)], { type: "application/json" }), `${room}-revision-${certificate.rev}.json`);
    return `${certificate.operations.length} operations, to revision ${certificate.rev}.`;
  }));
  byId("certificate-check").addEventListener("click", () => void run(async () => check(await fetched(), desk)));
  byId("certificate-file").addEventListener("click", () => {
    const field = fieldById("file");
    field.accept = ".json,application/json";
    field.multiple = false;
    field.value = "";
    field.onchange = () => void run(async () => check(JSON.parse((await field.files?.[0]?.text()) ?? ""), null));
    field.click();
  });
}

/** @param {any} certificate @param {Desk | null} desk the board that it should be of, if it is this one's */
async function check(certificate, desk) {
  const { verifyCertificate } = await import("../client/certificate.js");
  const found = await verifyCertificate(certificate);
  const signed = found.signature === "valid" ? "the signature is valid" : "this browser cannot check the signature";
  const replica = desk?.board.replica;
  const here = replica?.rev === found.rev ? ` Its digest is ${replica.saved.digest === found.digest ? "this page’s" : "not this page’s"}.` : "";
  return `It holds: ${found.rev} revisions by ${found.sites} sites; digest and root come out as stated, and ${signed}.${here}`;
}
