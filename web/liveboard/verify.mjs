// Checks a board's certificate on a machine that has never met its server: node verify.mjs FILE [KEY]

import { readFile } from "node:fs/promises";

import { verifyCertificate } from "./client/certificate.js";

const [file, key] = process.argv.slice(2);
if (!file) {
  console.error("usage: node verify.mjs FILE [KEY]");
  process.exit(2);
}
try {
  console.log(JSON.stringify(await verifyCertificate(JSON.parse(await readFile(file, "utf8")), key), null, 2));
} catch (error) {
  console.log(`does not hold: ${error.message}`);
  process.exitCode = 1;
}
