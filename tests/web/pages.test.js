import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { remember, stretchesSeen } from "../../web/assets/lives.js";
import { address, example, groups, resolve, typeWords } from "../../web/docs/openapi.js";
import { fault } from "../../web/frontrow/fields.js";

const API = {
  paths: {
    "/runs/{id}": {
      get: { tags: ["frontrow"], summary: "A run", operationId: "run", parameters: [{ name: "id", in: "path" }, { name: "limit", in: "query" }], responses: { 200: {} } },
    },
    "/stampede": {
      post: {
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Wish" } } } },
        security: [{}, { admin: [] }],
      },
    },
  },
  components: {
    schemas: {
      Wish: {
        type: "object",
        properties: {
          buyers: { type: "integer", minimum: 1, maximum: 9, default: 3 },
          seed: { anyOf: [{ type: "integer" }, { type: "null" }] },
          seats: { type: "array", items: { type: "integer", minimum: 1 } },
          loop: { $ref: "#/components/schemas/Wish" },
        },
      },
    },
  },
};

test("operations are grouped by their tag, with what they need", () => {
  const found = groups(API);
  assert.deepEqual([...found.keys()], ["frontrow", "host"]);
  const [post] = found.get("host") ?? [];
  assert.equal(post?.isAdmin, true);
  assert.deepEqual(resolve(API, post?.body).type, "object");
});

test("an example body passes by its schema, also where that refers to itself", () => {
  const body = example(API, { $ref: "#/components/schemas/Wish" });
  assert.deepEqual([body.buyers, body.seed, body.seats], [3, null, [1]]);
});

test("a reference that leads nowhere or in circles ends", () => {
  assert.deepEqual(resolve(API, { $ref: "#/components/schemas/Gone" }), {});
  const circle = { a: { $ref: "#/a" } };
  assert.ok(resolve(circle, circle.a));
});

test("types are said in few words", () => {
  const { properties } = API.components.schemas.Wish;
  assert.equal(typeWords(API, properties.buyers), "integer, 1 to 9");
  assert.equal(typeWords(API, properties.seed), "integer or null");
  assert.equal(typeWords(API, properties.seats), "list of integer, at least 1");
  assert.equal(typeWords(API, { enum: ["a", 1] }), '"a" or 1');
});

test("parameters go into the address, escaped; empty ones stay out", () => {
  const [run] = groups(API).get("frontrow") ?? [];
  assert.ok(run);
  assert.equal(address(run, { id: "a/b", limit: "" }), "/runs/a%2Fb");
  assert.equal(address(run, { id: "1", limit: "5" }), "/runs/1?limit=5");
});

/**
 * The colours of the design, by token: light and dark.
 * @returns {Map<string, [string, string]>}
 */
function colours() {
  const css = readFileSync(new URL("../../web/assets/tokens.css", import.meta.url), "utf8");
  return new Map([...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [name, [light, dark]]));
}

/** @param {string} hex */
function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2.2, contrast ratio. */
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

test("the contrast computed here is that of WCAG", () => {
  assert.equal(contrast("#ffffff", "#000000"), 21);
  assert.ok(Math.abs(contrast("#767676", "#ffffff") - 4.54) < 0.01);
});

const GROUNDS = ["paper", "surface", "sunken"];
const WORDS = ["ink", "ink-soft", "ink-faint", "frontrow-ink", "raft-ink", "liveboard-ink", "gateway-ink", "holds", "broke"];
const SHAPES = ["frontrow", "raft", "liveboard", "gateway", "hairline-strong"];

for (const [kind, names, least] of /** @type {const} */ ([["words", WORDS, 4.5], ["shapes", SHAPES, 3]])) {
  test(`${kind} stand out from every ground in both themes by at least ${least}:1`, () => {
    const known = colours();
    for (const name of names) {
      for (const ground of GROUNDS) {
        for (const theme of [0, 1]) {
          const ratio = contrast(known.get(name)?.[theme] ?? "", known.get(ground)?.[theme] ?? "");
          assert.ok(ratio >= least, `${name} on ${ground}, ${theme === 0 ? "light" : "dark"}: ${ratio.toFixed(2)}`);
        }
      }
    }
  });
}

test("a typed number is refused with what would do", () => {
  const rule = { min: 1, max: 100_000, isRequired: true };
  assert.deepEqual(["1", "100000", " 7 "].map((text) => fault(text, rule)), ["", "", ""]);
  assert.deepEqual(["0", "100001", "1.5", "many", ""].map((text) => fault(text, rule)), [
    "At least 1.",
    "At most 100,000.",
    "A whole number, please.",
    "A whole number, please.",
    "A number from 1 to 100,000.",
  ]);
  assert.equal(fault("", { ...rule, isRequired: false }), "");
  assert.equal(fault("", { ...rule, isRequired: false, isGarbled: true }), "A whole number, please.");
});

test("a plugin's life is stretches of one state, with each restart a new one", () => {
  const lives = new Map();
  const plugin = { name: "frontrow", state: "ready", restarts: 0, since_s: 30, enabled: true };
  remember(lives, plugin, 100);
  remember(lives, { ...plugin, since_s: 31 }, 101);
  remember(lives, { ...plugin, state: "backoff", since_s: 1 }, 110);
  remember(lives, { ...plugin, restarts: 1, since_s: 2 }, 120);
  assert.deepEqual(lives.get("frontrow"), [
    { state: "ready", from_s: 70, restarts: 0 },
    { state: "backoff", from_s: 109, restarts: 0 },
    { state: "ready", from_s: 118, restarts: 1 },
  ]);
  const rounded = stretchesSeen(lives.get("frontrow"), 120, 20).map((seen) => ({ ...seen, from: Number(seen.from.toFixed(6)), to: Number(seen.to.toFixed(6)) }));
  assert.deepEqual(rounded, [
    { state: "ready", from: 0, to: 0.45, isRestart: false },
    { state: "backoff", from: 0.45, to: 0.9, isRestart: false },
    { state: "ready", from: 0.9, to: 1, isRestart: true },
  ]);
});

test("a plugin that is not enabled has been down for as long as anybody looks", () => {
  const lives = new Map();
  remember(lives, { name: "gateway", state: "discovered", enabled: false }, 100);
  assert.deepEqual(stretchesSeen(lives.get("gateway"), 100, 60), [{ state: "discovered", from: 0, to: 1, isRestart: false }]);
});
