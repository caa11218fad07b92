// The API page: renders /openapi.json, and lets each operation be tried.

import { ProblemNote } from "/assets/components/problem-note.js";
import { requestJson } from "/assets/fetch.js";
import { groups, resolve, typeWords } from "./openapi.js";
import { tryIt } from "./try-it.js";

/** @typedef {import("./openapi.js").ApiOperation} ApiOperation */

const nav = /** @type {HTMLElement} */ (document.getElementById("api-nav"));
const place = /** @type {HTMLElement} */ (document.getElementById("operations"));

show().catch((error) => {
  place.replaceChildren();
  const note = document.querySelector("problem-note");
  if (note instanceof ProblemNote) note.show(error);
});

async function show() {
  const { data: api } = await requestJson("/openapi.json");
  const sections = [...groups(api)].map(([group, operations]) => {
    const section = element("section", "api-group");
    section.id = group;
    section.dataset.voice = group;
    const entries = operations.map((operation) => render(api, operation));
    section.append(element("h2", "", group), ...entries);
    return section;
  });
  place.replaceChildren(...sections);
  nav.replaceChildren(...[...groups(api)].map(([group, operations]) => index(group, operations)));
  const wanted = location.hash.slice(1);
  if (wanted !== "") open(document.getElementById(wanted));
  addEventListener("hashchange", () => open(document.getElementById(location.hash.slice(1))));
}

/** @param {HTMLElement | null} target */
function open(target) {
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

/**
 * @param {string} group
 * @param {ApiOperation[]} operations
 */
function index(group, operations) {
  const part = element("div", "api-nav-group");
  const head = element("a", "", group);
  head.setAttribute("href", `#${group}`);
  const list = element("ul", "");
  for (const { id, method, path } of operations) {
    const item = element("li", "");
    const link = element("a", "", path);
    link.setAttribute("href", `#${id}`);
    item.append(element("span", "method", method), link);
    list.append(item);
  }
  part.append(head, list);
  return part;
}

/**
 * @param {any} api
 * @param {ApiOperation} operation
 */
function render(api, operation) {
  const details = /** @type {HTMLDetailsElement} */ (element("details", "operation"));
  details.id = operation.id;
  const summary = element("summary", "");
  const path = element("code", "path", operation.path);
  summary.append(element("span", "method", operation.method), path, element("span", "operation-words", operation.summary));
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(inside(api, operation));
  });
  return details;
}

/**
 * @param {any} api
 * @param {ApiOperation} operation
 */
function inside(api, operation) {
  const body = element("div", "operation-body stack");
  if (operation.isAdmin) body.append(element("p", "small", "Off loopback this needs the admin token as bearer token."));
  if (operation.parameters.length > 0) {
    body.append(
      element("h3", "", "Parameters"),
      fields(operation.parameters.map((each) => [each.name, `${each.in}, ${typeWords(api, each.schema)}`, each.required, each.description ?? ""])),
    );
  }
  if (operation.body !== null) body.append(element("h3", "", "Body"), properties(api, operation.body));
  body.append(element("h3", "", "Answers"));
  const answers = element("dl", "answers");
  for (const [status, answer] of operation.responses) {
    const definition = element("dd", "", answer.description ?? "");
    for (const [type, { schema }] of Object.entries(/** @type {Record<string, any>} */ (answer.content ?? {}))) {
      definition.append(element("code", "media", type));
      if (type === "application/json") definition.append(properties(api, schema));
    }
    answers.append(element("dt", "", status), definition);
  }
  body.append(answers, tryIt(api, operation));
  return body;
}

/**
 * @param {any} api
 * @param {any} schema
 */
function properties(api, schema) {
  const known = resolve(api, schema);
  const required = new Set(known.required ?? []);
  const rows = Object.entries(/** @type {Record<string, any>} */ (known.properties ?? {}));
  if (rows.length === 0) return element("p", "small soft", typeWords(api, schema));
  return fields(rows.map(([name, part]) => [name, typeWords(api, part), required.has(name), resolve(api, part).description ?? part.description ?? ""]));
}

/** @param {[string, string, boolean, string][]} rows name, type, whether it must be there, description */
function fields(rows) {
  const table = element("table", "fields");
  for (const [name, type, isRequired, description] of rows) {
    const row = element("tr", "");
    const head = element("th", "");
    head.setAttribute("scope", "row");
    head.append(element("code", "", name));
    row.append(head, element("td", "", isRequired ? "required" : "optional"), element("td", "", type), element("td", "", description));
    table.append(row);
  }
  return table;
}

/**
 * @param {string} name
 * @param {string} className
 * @param {string} [text]
 * @returns {HTMLElement}
 */
function element(name, className, text = "") {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.textContent = text;
  return made;
}
