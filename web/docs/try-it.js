// A form that sends one operation of the API and shows what came back.

import { span } from "/assets/format.js";
import { address, example } from "./openapi.js";

const SHOWN_CHARS_MAX = 20_000;
const TIMEOUT_MS = 130_000;

/**
 * @param {any} api
 * @param {import("./openapi.js").ApiOperation} operation
 * @returns {HTMLFormElement}
 */
export function tryIt(api, operation) {
  const form = document.createElement("form");
  form.className = "try-it stack";
  const head = document.createElement("h3");
  head.textContent = "Try it";
  form.append(head);
  const inputs = operation.parameters.filter(({ in: where }) => where !== "cookie").map((parameter) => input(operation, parameter));
  for (const { label, field } of inputs) form.append(label, field);
  const body = operation.body === null ? null : bodyField(api, operation);
  if (body !== null) form.append(body.label, body.field);
  const button = document.createElement("button");
  button.className = "button";
  button.textContent = `Send ${operation.method}`;
  const answer = document.createElement("div");
  answer.setAttribute("role", "status");
  form.append(button, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.disabled = true;
    void send(operation, inputs, body?.field.value ?? null, answer).finally(() => {
      button.disabled = false;
    });
  });
  return form;
}

/**
 * @param {import("./openapi.js").ApiOperation} operation
 * @param {any} parameter
 */
function input(operation, parameter) {
  const field = document.createElement("input");
  field.type = "text";
  field.name = parameter.name;
  field.id = `${operation.id}-${parameter.name}`;
  field.required = parameter.required === true;
  const label = document.createElement("label");
  label.htmlFor = field.id;
  label.textContent = parameter.name;
  return { label, field, where: String(parameter.in) };
}

/**
 * @param {any} api
 * @param {import("./openapi.js").ApiOperation} operation
 */
function bodyField(api, operation) {
  const field = document.createElement("textarea");
  field.id = `${operation.id}-body`;
  field.value = JSON.stringify(example(api, operation.body), null, 2);
  field.rows = Math.min(12, field.value.split("\n").length + 1);
  field.spellcheck = false;
  const label = document.createElement("label");
  label.htmlFor = field.id;
  label.textContent = "Body (JSON)";
  return { label, field };
}

/**
 * @param {import("./openapi.js").ApiOperation} operation
 * @param {{field: HTMLInputElement, where: string}[]} inputs
 * @param {string | null} body
 * @param {HTMLElement} answer
 */
async function send(operation, inputs, body, answer) {
  const values = Object.fromEntries(inputs.map(({ field }) => [field.name, field.value]));
  const headers = new Headers(inputs.filter(({ where, field }) => where === "header" && field.value !== "").map(({ field }) => [field.name, field.value]));
  if (body !== null) headers.set("content-type", "application/json");
  const began = performance.now();
  try {
    const response = await fetch(address(operation, values), { method: operation.method, headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream")) return void show(answer, `${response.status}`, await firstPiece(response), began);
    const text = await response.text();
    const words = type.includes("json") ? pretty(text) : text;
    show(answer, `${response.status} ${response.statusText}`, `${type}\n\n${words}`, began);
  } catch (error) {
    show(answer, "No answer", String(error), began);
  }
}

/**
 * @param {HTMLElement} answer
 * @param {string} status
 * @param {string} text
 * @param {number} began
 */
function show(answer, status, text, began) {
  const head = document.createElement("p");
  head.className = "answer-status";
  head.textContent = `${status.trim()} · ${span(performance.now() - began)} as seen from this browser`;
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  pre.textContent = text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}\n… cut here` : text;
  answer.replaceChildren(head, pre);
}

/**
 * The beginning of an event stream, which has no end to wait for.
 * @param {Response} response
 */
async function firstPiece(response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const piece = await reader?.read();
  await reader?.cancel();
  return `text/event-stream, its first piece:\n\n${piece?.value ?? ""}`;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
