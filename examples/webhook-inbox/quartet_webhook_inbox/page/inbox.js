// The live tail of one inbox. The token may be needed, so the stream is read by fetch: EventSource sends no headers.

const API = "/api/webhook-inbox";
const CALLS_SHOWN_MAX = 200;
const RETRY_MS = 2000;

const form = /** @type {HTMLFormElement} */ (document.querySelector("#choose"));
const list = /** @type {HTMLOListElement} */ (document.querySelector("#calls"));
const state = /** @type {HTMLElement} */ (document.querySelector("#state"));
const inboxes = /** @type {HTMLUListElement} */ (document.querySelector("#inboxes"));
let watching = new AbortController();

/** @param {string} name */
const field = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value;

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (field("token")) headers.set("authorization", `Bearer ${field("token")}`);
  const answer = await fetch(API + path, { ...options, headers });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? problem.title ?? `The host answered ${answer.status}.`);
  }
  return answer;
}

/** @param {any} call */
function show(call) {
  const item = document.createElement("li");
  const head = document.createElement("h2");
  head.className = "small";
  head.textContent = `${call.method} ${call.path}${call.query ? `?${call.query}` : ""}`;
  const about = document.createElement("p");
  about.className = "small soft";
  about.textContent = `${new Date(call.at).toLocaleString()} · ${call.body_bytes} bytes · from ${call.client || "a socket"}`;
  const text = document.createElement("pre");
  text.tabIndex = 0;
  const headers = call.headers.map((/** @type {[string, string]} */ [name, value]) => `${name}: ${value}`);
  text.textContent = [...headers, "", call.body ?? "(not text)"].join("\n");
  const button = document.createElement("button");
  button.className = "button button-small";
  button.textContent = "Replay";
  const outcome = document.createElement("p");
  outcome.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const body = JSON.stringify({ target: field("target") });
      const options = { method: "POST", body, headers: { "content-type": "application/json" } };
      const answer = await (await ask(`/calls/${call.id}/replay`, options)).json();
      outcome.textContent = `The target answered ${answer.status} in ${answer.elapsed_ms} ms.`;
    } catch (error) {
      outcome.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      button.disabled = false;
    }
  });
  item.append(head, about, text, button, outcome);
  list.prepend(item);
  while (list.children.length > CALLS_SHOWN_MAX) list.lastElementChild?.remove();
}

/**
 * Reads events until the stream ends; returns the id of the last one.
 * @param {string} inbox
 * @param {string} lastId
 * @param {AbortSignal} signal
 */
async function read(inbox, lastId, signal) {
  const headers = lastId ? { "last-event-id": lastId } : undefined;
  const answer = await ask(`/inboxes/${inbox}/events`, { signal, headers });
  state.textContent = `Watching ${inbox}: call ${location.origin}/hooks/${inbox}`;
  if (!answer.body) return lastId;
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return lastId;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const lines = event.split("\n");
      if (!lines.includes("event: call")) continue;
      show(JSON.parse(lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n")));
      lastId = lines.find((line) => line.startsWith("id: "))?.slice(4) ?? lastId;
    }
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  watching.abort();
  watching = new AbortController();
  const { signal } = watching;
  const inbox = field("inbox");
  list.replaceChildren();
  for (let lastId = ""; !signal.aborted; ) {
    try {
      lastId = await read(inbox, lastId, signal);
    } catch (error) {
      if (signal.aborted) return;
      state.textContent = `${error instanceof Error ? error.message : error} Trying again.`;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
});

/** A button for each inbox there is. */
async function choose() {
  const known = (await (await ask("/inboxes")).json()).inboxes;
  state.textContent = known.length ? "Choose an inbox, or name one that is to come." : "Nothing was received yet.";
  for (const inbox of known) {
    const button = document.createElement("button");
    button.className = "button button-small";
    button.textContent = `${inbox.name} · ${inbox.received}`;
    button.addEventListener("click", () => {
      /** @type {HTMLInputElement} */ (form.elements.namedItem("inbox")).value = inbox.name;
      form.requestSubmit();
    });
    const item = document.createElement("li");
    item.append(button);
    inboxes.append(item);
  }
}

choose().catch((error) => (state.textContent = error.message));
