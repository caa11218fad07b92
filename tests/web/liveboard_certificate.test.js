import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { entriesOf, verifyCertificate } from "../../web/liveboard/client/certificate.js";

/** @type {{fault: string, certificate: any}[]} */
const vectors = JSON.parse(readFileSync(new URL("../plugins/liveboard/vectors/certificates.json", import.meta.url), "utf8"));
const good = vectors[0]?.certificate;

for (const { fault, certificate } of vectors) {
  test(`a certificate is judged as its vector: ${fault || "holds"}`, async () => {
    if (fault) {
      await assert.rejects(verifyCertificate(certificate), { name: "CertificateError", message: new RegExp(fault) });
      return;
    }
    const found = await verifyCertificate(certificate, good.key);
    for (const name of /** @type {const} */ (["room", "rev", "digest", "root", "key"])) assert.equal(found[name], good[name]);
    assert.equal(found.signature, "valid");
    assert.equal(entriesOf(certificate).length, good.rev);
  });
}

test("a certificate without a part does not hold", async () => {
  for (const name of ["signature", "key", "room", "digest", "root", "operations"]) {
    await assert.rejects(verifyCertificate({ ...good, [name]: undefined }), { name: "CertificateError" }, name);
  }
  for (const nothing of [null, 7, {}, { ...good, operations: [null] }]) await assert.rejects(verifyCertificate(nothing), { name: "CertificateError" });
  await assert.rejects(verifyCertificate(good, "00".repeat(32)), { message: /signed with the key/ });
});

test("where there is no Ed25519, the rest is checked, and that is said", async (context) => {
  context.mock.method(crypto.subtle, "importKey", async () => {
    throw new DOMException("unrecognized", "NotSupportedError");
  });
  assert.equal((await verifyCertificate(good)).signature, "unchecked");
});
