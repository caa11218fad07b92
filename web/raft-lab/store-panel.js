// The panel of the key-value store: put, get, delete, compare and set; by the leader or any node, and how it is read.

import { html, one, write } from "/assets/dom.js";
import { Problem, requestJson } from "/assets/fetch.js";
import { span } from "/assets/format.js";
import { API, act, whileBusy } from "./lab.js";

/** @typedef {import("./model.js").Model} Model */

const KEYS_SHOWN = 50;

export class StorePanel {
  #form = one("#kv-form", HTMLFormElement);
  #said = one("#kv-said", HTMLElement);
  #shown = "";
  #ids = "";

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter instanceof HTMLButtonElement) void this.#press(event.submitter);
    });
  }

  /** @param {Model} model */
  show(model) {
    const ids = model.ids.join();
    if (ids !== this.#ids) {
      this.#ids = ids;
      const select = one("#kv-node", HTMLSelectElement);
      const before = select.value;
      select.replaceChildren(html("option", { value: "" }, "the leader"), ...model.ids.map((id) => html("option", { value: id }, `n${id}`)));
      select.value = model.ids.map(String).includes(before) ? before : "";
    }
    const lease = one("#mode [value=lease]", HTMLOptionElement);
    lease.disabled = model.document.cluster.lease_reads !== true;
    write(lease, lease.disabled ? "lease (off, see faults)" : "lease");
    const pairs = [...model.kv].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, KEYS_SHOWN);
    const key = JSON.stringify(pairs);
    if (key === this.#shown) return;
    this.#shown = key;
    one("#kv", HTMLElement).replaceChildren(
      ...(pairs.length === 0 ? [html("p", { class: "faint" }, "No key is set.")] : pairs.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)))),
    );
  }

  /** @param {HTMLButtonElement} button */
  async #press(button) {
    const field = (/** @type {string} */ name) => String(new FormData(this.#form).get(name) ?? "");
    const [key, value, node] = [field("key"), field("value"), field("node")];
    if (key === "") {
      write(this.#said, "A key has at least one character.");
      one("#key", HTMLInputElement).focus();
      return;
    }
    await whileBusy(button, this.#said, `Asking ${node === "" ? "the leader" : `n${node}`} …`, () => {
      if (button.value === "get") return this.#get(key, node, field("mode"));
      if (button.value === "delete") return this.#change("DELETE", key, node);
      return this.#change("PUT", key, node, button.value === "swap" ? { value, expected: field("expected") } : { value });
    });
  }

  /**
   * @param {string} key
   * @param {string} node
   * @param {string} mode
   */
  async #get(key, node, mode) {
    if (mode === "stale") {
      const { data } = await this.#ask("GET", key, node, undefined, "stale=1");
      return data === null ? `there is no key ${key}` : `key ${key} was ${data.value} when n${data.node} applied entry ${data.index}; it may be old`;
    }
    const { value, index, ms } = await act({ action: "read", key, ...(node === "" ? {} : { node: Number(node) }), ...(mode === "lease" ? { mode } : {}) });
    const found = value === null ? `there is no key ${key}` : `key ${key} is ${value}`;
    return `${found}, as of entry ${index}; ${mode === "lease" ? "by the leader’s lease, or a majority when that had run out" : "confirmed by a majority"}, ${span(ms)}`;
  }

  /**
   * @param {"PUT" | "DELETE"} method
   * @param {string} key
   * @param {string} node
   * @param {{value: string, expected?: string}} [body]
   */
  async #change(method, key, node, body) {
    const { data } = await this.#ask(method, key, node, body);
    if (data === null) return `there is no key ${key}`;
    return `${method === "DELETE" ? `key ${key} is deleted` : `key ${key} = ${body?.value}`}, committed at entry ${data.index} of term ${data.term} in ${span(data.ms)}`;
  }

  /**
   * @param {string} method
   * @param {string} key
   * @param {string} node
   * @param {unknown} [body]
   * @param {string} [query]
   * @returns {Promise<{data: any}>} null data: no such key
   */
  async #ask(method, key, node, body, query = "") {
    const queries = [node === "" ? "" : `node=${node}`, query].filter(Boolean).join("&");
    try {
      return await requestJson(`${API}/kv/${encodeURIComponent(key)}${queries === "" ? "" : `?${queries}`}`, { method, body });
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return { data: null };
      throw error;
    }
  }
}
