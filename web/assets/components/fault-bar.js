// <fault-bar>: the buttons that break things, what each does and for how long, and the one that heals them all.

import { explain, requestJson } from "../fetch.js";

/**
 * @typedef {object} Fault
 * @property {string} label
 * @property {string} effect what it does, in a few words
 * @property {string} lasts how long, in words: "until healed", "10 s"
 * @property {string} url POSTed
 * @property {unknown} [body]
 */

export class FaultBar extends HTMLElement {
  #note = document.createElement("p");

  /**
   * @param {Fault[]} faults
   * @param {Fault | null} heal
   */
  offer(faults, heal) {
    this.setAttribute("role", "group");
    if (!this.hasAttribute("aria-label")) this.setAttribute("aria-label", "Break it");
    this.#note.className = "fault-note";
    this.#note.setAttribute("role", "status");
    const buttons = faults.map((fault) => this.#button(fault, "button button-fault"));
    if (heal !== null) buttons.push(this.#button(heal, "button"));
    this.replaceChildren(...buttons, this.#note);
  }

  /**
   * @param {Fault} fault
   * @param {string} className
   */
  #button(fault, className) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = className;
    const label = document.createElement("span");
    label.textContent = fault.label;
    const effect = document.createElement("small");
    effect.textContent = `${fault.effect} · ${fault.lasts}`;
    button.append(label, effect);
    button.addEventListener("click", () => void this.#send(fault, button));
    return button;
  }

  /**
   * @param {Fault} fault
   * @param {HTMLButtonElement} button
   */
  async #send(fault, button) {
    button.disabled = true;
    this.#note.textContent = `${fault.label} …`;
    try {
      const { data } = await requestJson(fault.url, { method: "POST", body: fault.body ?? {} });
      this.#note.textContent = typeof data?.text === "string" ? `${fault.label}: ${data.text}.` : `${fault.label}: done.`;
      this.dispatchEvent(new CustomEvent("fault", { bubbles: true, detail: { fault, data } }));
    } catch (error) {
      const { headline, detail, next } = explain(error);
      this.#note.textContent = `${headline}. ${detail} ${next}`;
    } finally {
      button.disabled = false;
      button.focus();
    }
  }
}

customElements.define("fault-bar", FaultBar);
