// <verdict-mark verdict="holds|broke|unknown|running|none">: a verdict as shape, word and colour together.

const WORDS = /** @type {Record<string, string>} */ ({
  holds: "Holds",
  broke: "Broke",
  unknown: "Unknown",
  running: "Running",
  none: "Not run yet",
});
const SHAPES = /** @type {Record<string, string>} */ ({
  holds: "M5 12.5l4.5 4.5L19 7.5",
  broke: "M6.5 6.5l11 11 M17.5 6.5l-11 11",
  unknown: "M9 9.2a3 3 0 1 1 4.6 2.5c-1 .7-1.6 1.3-1.6 2.5 M12 17.6v.2",
  running: "M12 4a8 8 0 0 1 8 8",
  none: "M8 12h8",
});

export class VerdictMark extends HTMLElement {
  static observedAttributes = ["verdict"];

  connectedCallback() {
    this.#draw();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#draw();
  }

  /** @param {string} verdict */
  set verdict(verdict) {
    this.setAttribute("verdict", verdict);
  }

  get verdict() {
    const verdict = this.getAttribute("verdict") ?? "none";
    return verdict in WORDS ? verdict : "unknown";
  }

  #draw() {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", SHAPES[this.verdict] ?? "");
    svg.append(path);
    const word = document.createElement("span");
    word.textContent = WORDS[this.verdict] ?? "";
    this.dataset.verdict = this.verdict;
    this.replaceChildren(svg, word);
  }
}

customElements.define("verdict-mark", VerdictMark);
