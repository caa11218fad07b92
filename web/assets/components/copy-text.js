// <copy-text><pre>…</pre></copy-text>: a text with a button that copies it. `%ORIGIN%` in it becomes this host's address.

const RESET_AFTER_MS = 2000;

export class CopyText extends HTMLElement {
  #button = document.createElement("button");

  connectedCallback() {
    if (this.#button.isConnected) return;
    this.#button.type = "button";
    this.#button.className = "button button-small copy-button";
    this.#button.textContent = "Copy";
    this.#button.addEventListener("click", () => void this.#copy());
    this.append(this.#button);
    const pre = this.querySelector("pre");
    if (pre !== null) {
      // It scrolls where it does not fit, which arrow keys do once it has the focus.
      pre.tabIndex = 0;
      pre.setAttribute("role", "group");
      pre.setAttribute("aria-label", "Text to copy");
    }
    this.text = this.text.replaceAll("%ORIGIN%", location.origin);
  }

  get text() {
    return this.querySelector("pre")?.textContent?.trim() ?? "";
  }

  set text(text) {
    const pre = this.querySelector("pre");
    if (pre !== null) pre.textContent = text;
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.text);
      this.#button.textContent = "Copied";
    } catch {
      // No clipboard outside a secure context: mark the text, so that one key does it.
      const pre = this.querySelector("pre");
      if (pre !== null) getSelection()?.selectAllChildren(pre);
      this.#button.textContent = "Marked: press Ctrl+C";
    }
    setTimeout(() => {
      this.#button.textContent = "Copy";
    }, RESET_AFTER_MS);
  }
}

customElements.define("copy-text", CopyText);
