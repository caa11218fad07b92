// <site-header>: keeps the header's plugin states live and says when the host cannot be heard.

import { follow, retryNow } from "../overview.js";

/** Failures in a row after which the host counts as gone rather than as being reconnected. */
const GONE_AFTER = 2;

class SiteHeader extends HTMLElement {
  /** @type {(() => void) | null} */
  #unfollow = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #countdown;
  /** @type {HTMLElement | null} */
  #banner = null;

  connectedCallback() {
    this.#showWhereOneIs();
    this.#unfollow = follow({
      onOverview: (overview) => {
        for (const plugin of overview.host.plugins) this.#mark(plugin.name, plugin.state);
      },
      onState: (state) => this.#show(state),
    });
  }

  disconnectedCallback() {
    this.#unfollow?.();
    clearInterval(this.#countdown);
    this.#banner?.remove();
  }

  /** On a phone the pages stand in one row, of which not all is in sight. */
  #showWhereOneIs() {
    const list = this.querySelector(".site-nav ul");
    const here = list?.querySelector("[aria-current=page]");
    if (!list || !here) return;
    const [frame, place] = [list.getBoundingClientRect(), here.getBoundingClientRect()];
    if (place.right > frame.right) list.scrollLeft += place.left - frame.left - (frame.width - place.width) / 2;
  }

  /**
   * @param {string} plugin
   * @param {string} state
   */
  #mark(plugin, state) {
    /** @type {HTMLElement | null} */
    const dot = this.querySelector(`.state-dot[data-plugin="${CSS.escape(plugin)}"]`);
    if (dot === null || dot.dataset.state === state) return;
    dot.dataset.state = state;
    dot.title = `${plugin}: ${state}`;
    const words = dot.querySelector(".visually-hidden");
    if (words !== null) words.textContent = `(${state})`;
  }

  /** @param {import("../overview.js").StreamState} state */
  #show(state) {
    const mark = /** @type {HTMLElement | null} */ (this.querySelector(".link-state"));
    const gone = state.name === "waiting" && state.failures >= GONE_AFTER;
    const words = {
      connecting: state.failures === 0 ? "" : "reconnecting",
      live: "live",
      stale: "silent",
      waiting: "reconnecting",
      paused: "paused",
      closed: "",
    }[state.name];
    if (mark !== null && mark.textContent !== words) {
      mark.textContent = words;
      mark.dataset.link = state.name;
    }
    document.documentElement.dataset.link = state.name;
    if (gone) this.#showBanner(state.retryAt ?? Date.now());
    else if (state.name !== "connecting") this.#hideBanner();
  }

  /** @param {number} retryAt */
  #showBanner(retryAt) {
    clearInterval(this.#countdown);
    if (this.#banner === null) {
      this.#banner = document.createElement("div");
      this.#banner.className = "gone-banner";
      this.#banner.setAttribute("role", "alert");
      const words = document.createElement("p");
      words.textContent = "The host does not answer. What you see is what it said last. ";
      const wait = document.createElement("span");
      wait.className = "figure";
      wait.setAttribute("aria-hidden", "true");
      words.append(wait);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button button-small";
      button.textContent = "Try now";
      button.addEventListener("click", retryNow);
      this.#banner.append(words, button);
      document.body.append(this.#banner);
    }
    const wait = /** @type {HTMLElement} */ (this.#banner.querySelector(".figure"));
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      wait.textContent = seconds === 0 ? "Trying …" : `Trying again in ${seconds} s.`;
    };
    tick();
    this.#countdown = setInterval(tick, 250);
  }

  #hideBanner() {
    clearInterval(this.#countdown);
    this.#banner?.remove();
    this.#banner = null;
  }
}

customElements.define("site-header", SiteHeader);
