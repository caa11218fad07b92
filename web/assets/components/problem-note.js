// <problem-note>: a failure told to a person: what happened, what the host said, what to do next.

import { explain, Problem } from "../fetch.js";

export class ProblemNote extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "alert");
    if (this.childElementCount === 0) this.hidden = true;
  }

  /** @param {unknown} error null takes the note away */
  show(error) {
    this.hidden = error === null;
    if (error === null) return this.replaceChildren();
    const { headline, detail, next } = explain(error);
    const head = document.createElement("strong");
    head.textContent = headline;
    const rest = document.createElement("p");
    rest.textContent = [detail, next].filter((words) => words !== "").join(" ");
    this.replaceChildren(head, rest);
    if (error instanceof Problem && error.errors.length > 0) {
      const list = document.createElement("ul");
      for (const { field, message } of error.errors) {
        const item = document.createElement("li");
        const name = document.createElement("code");
        name.textContent = field;
        item.append(name, ` ${message}`);
        list.append(item);
      }
      this.append(list);
    }
  }
}

customElements.define("problem-note", ProblemNote);
