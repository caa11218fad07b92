// The panel of the network: one link or all of them, cut, slow, lossy, doubling; and who is split from whom.

import { FaultBar } from "/assets/components/fault-bar.js";
import { html, one, write } from "/assets/dom.js";
import { ACTIONS, act, whileBusy } from "./lab.js";
import { networkWords } from "./words.js";

/** @typedef {import("./model.js").Model} Model */

const HEALED = "until healed";
const ALL = "all";
const GROUPS = ["A", "B", "C"];
const PERMILLE = 10;

export class NetworkPanel {
  #from = one("#link-from", HTMLSelectElement);
  #to = one("#link-to", HTMLSelectElement);
  #both = one("#link-both", HTMLInputElement);
  #said = one("#link-said", HTMLElement);
  #split = one("#split", HTMLFormElement);
  /** @type {Model} */
  #model;
  #shown = "";

  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
    const all = { lasts: HEALED, url: ACTIONS };
    one("#link-faults", FaultBar).offer(
      [
        { ...all, label: "Lose 30 %", effect: "of all messages", body: { action: "link", loss: 300 } },
        { ...all, label: "Slow", effect: "80 ms ± 20 ms everywhere", body: { action: "link", delay_ms: 80, jitter_ms: 20 } },
        { ...all, label: "Double", effect: "30 % come twice", body: { action: "link", duplicate: 300 } },
      ],
      null,
    );
    for (const button of document.querySelectorAll("#link-form button")) {
      if (button instanceof HTMLButtonElement) button.addEventListener("click", () => void this.#press(button));
    }
    for (const select of [this.#from, this.#to]) select.addEventListener("change", () => this.#fill());
    this.#split.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#partition();
    });
  }

  /**
   * A link was pressed in the ring: it is cut, or mended when it was.
   * @param {number} a
   * @param {number} b
   */
  async toggle(a, b) {
    this.#from.value = String(a);
    this.#to.value = String(b);
    this.#both.checked = true;
    this.#fill();
    const isCut = [`${a}>${b}`, `${b}>${a}`].some((name) => this.#model.links.get(name)?.cut);
    const button = one(`#link-form [data-do=${isCut ? "mend" : "cut"}]`, HTMLButtonElement);
    await whileBusy(button, this.#said, "…", async () => (await act({ action: isCut ? "mend" : "cut", from: a, to: b, both: true })).text);
  }

  show() {
    const ids = this.#model.ids;
    if (ids.join() !== this.#shown) this.#rebuild(ids);
    write(one("#links", HTMLElement), networkWords(this.#model.links));
  }

  /** @param {readonly number[]} ids */
  #rebuild(ids) {
    this.#shown = ids.join();
    for (const [select, fallback] of /** @type {[HTMLSelectElement, number | undefined][]} */ ([[this.#from, ids[0]], [this.#to, ids[1]]])) {
      const before = select.value;
      select.replaceChildren(html("option", { value: ALL }, "all nodes"), ...ids.map((id) => html("option", { value: id }, `n${id}`)));
      select.value = ids.map(String).includes(before) || before === ALL ? before : String(fallback ?? ALL);
    }
    one("#split-groups", HTMLElement).replaceChildren(
      ...ids.map((id, place) =>
        html(
          "div",
          { role: "radiogroup", "aria-label": `Group of n${id}`, class: "group-row" },
          html("span", {}, `n${id}`),
          ...GROUPS.map((group) =>
            html("label", { class: "preset" }, html("input", { type: "radio", name: `group-${id}`, value: group, checked: group === (place < 2 ? "A" : "B") }), html("span", {}, group)),
          ),
        ),
      ),
    );
    this.#fill();
  }

  /** Fills in how the chosen link fares now. */
  #fill() {
    const link = this.#model.links.get(`${this.#from.value}>${this.#to.value}`) ?? {};
    for (const [id, value] of /** @type {[string, number][]} */ ([
      ["delay", link.delay_ms ?? 1],
      ["jitter", link.jitter_ms ?? 1],
      ["loss", (link.loss ?? 0) / PERMILLE],
      ["duplicate", (link.duplicate ?? 0) / PERMILLE],
    ])) one(`#link-${id}`, HTMLInputElement).value = String(value);
  }

  /** @param {HTMLButtonElement} button */
  async #press(button) {
    const [from, to] = [this.#from, this.#to].map(({ value }) => (value === ALL ? undefined : Number(value)));
    await whileBusy(button, this.#said, "…", async () => {
      if (button.dataset.do === "change") return this.#change(from, to);
      if (from === undefined || to === undefined) return "To cut or mend, choose two nodes; to cut more, split the network below";
      return (await act({ action: button.dataset.do, from, to, both: this.#both.checked })).text;
    });
  }

  /**
   * @param {number | undefined} from
   * @param {number | undefined} to
   */
  async #change(from, to) {
    const [delay_ms, jitter_ms, loss, duplicate] = ["delay", "jitter", "loss", "duplicate"].map((id) => Math.round(Number(one(`#link-${id}`, HTMLInputElement).value)));
    const fares = { delay_ms, jitter_ms, loss: Number(loss) * PERMILLE, duplicate: Number(duplicate) * PERMILLE };
    const { text } = await act({ action: "link", from, to, ...fares });
    if (this.#both.checked && from !== to) await act({ action: "link", from: to, to: from, ...fares });
    return text;
  }

  async #partition() {
    const data = new FormData(this.#split);
    const groups = GROUPS.map((group) => this.#model.ids.filter((id) => data.get(`group-${id}`) === group)).filter((group) => group.length > 0);
    await whileBusy(one("#split button", HTMLButtonElement), one("#split-said", HTMLElement), "…", async () => (await act({ action: "partition", groups })).text);
  }
}
