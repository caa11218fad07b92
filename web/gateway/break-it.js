// <break-it>: chooses one of the simulated providers and offers the faults that it can be told to have.

import { FaultBar } from "/assets/components/fault-bar.js";
import { FAULTS, faultUrl, HEAL_URL, LASTS_S } from "./faults.js";

export class BreakIt extends HTMLElement {
  /** @type {string} */
  #shown = "";

  /** @param {readonly string[]} providers the simulated ones, in the order in which they are tried */
  offer(providers) {
    const key = providers.join("\n");
    if (key === this.#shown) return;
    this.#shown = key;
    const group = /** @type {HTMLFieldSetElement} */ (this.querySelector("[data-providers]"));
    group.hidden = providers.length === 0;
    /** @type {HTMLElement} */ (this.querySelector("[data-none]")).hidden = providers.length > 0;
    const legend = group.querySelector("legend");
    group.replaceChildren(...(legend === null ? [] : [legend]), ...providers.map((name, place) => this.#choice(name, place === 0)));
    this.#offerFaults(providers[0] ?? "");
  }

  /**
   * @param {string} provider
   * @param {boolean} isChosen
   */
  #choice(provider, isChosen) {
    const label = document.createElement("label");
    label.className = "preset";
    const input = document.createElement("input");
    input.type = "radio";
    input.name = "provider";
    input.value = provider;
    input.checked = isChosen;
    input.addEventListener("change", () => this.#offerFaults(provider));
    const words = document.createElement("span");
    words.textContent = provider;
    label.append(input, words);
    return label;
  }

  /** @param {string} provider "" offers nothing */
  #offerFaults(provider) {
    const bar = this.querySelector("fault-bar");
    if (!(bar instanceof FaultBar)) return;
    bar.hidden = provider === "";
    const faults = FAULTS.map(({ kind, label, effect }) => ({
      label,
      effect,
      lasts: `${LASTS_S}\u00a0s`,
      url: faultUrl(provider),
      body: { kind, duration: LASTS_S },
    }));
    bar.offer(faults, { label: "Heal all", effect: "every simulated provider", lasts: "at\u00a0once", url: HEAL_URL });
  }
}

customElements.define("break-it", BreakIt);
