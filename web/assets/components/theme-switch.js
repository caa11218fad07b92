// <theme-switch>: light, dark, or as the system says. The choice is kept in this browser.

const ORDER = /** @type {const} */ (["system", "light", "dark"]);
const GLYPHS = {
  system: "M12 4.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15 M12 4.5v15 M12 8.5h5.6 M12 12h7.3 M12 15.5h5.6",
  light: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8 M12 2.5v2 M12 19.5v2 M2.5 12h2 M19.5 12h2 M5.3 5.3l1.4 1.4 M17.3 17.3l1.4 1.4 M5.3 18.7l1.4-1.4 M17.3 6.7l1.4-1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
};

/** @typedef {typeof ORDER[number]} Theme */

class ThemeSwitch extends HTMLElement {
  #button = document.createElement("button");

  connectedCallback() {
    this.#button.type = "button";
    this.#button.className = "theme-button";
    this.#button.addEventListener("click", () => this.#choose(next(current())));
    this.replaceChildren(this.#button);
    this.#draw();
  }

  /** @param {Theme} theme */
  #choose(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch {
      // Storage may be forbidden; the choice then lasts for this page.
    }
    this.#draw();
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  #draw() {
    const theme = current();
    const label = `Theme: ${theme}. Switch to ${next(theme)}.`;
    this.#button.setAttribute("aria-label", label);
    this.#button.title = label;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", GLYPHS[theme]);
    svg.append(path);
    svg.dataset.theme = theme;
    this.#button.replaceChildren(svg);
  }
}

/** @returns {Theme} */
function current() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

/**
 * @param {Theme} theme
 * @returns {Theme}
 */
function next(theme) {
  const place = ORDER.indexOf(theme);
  return ORDER[(place + 1) % ORDER.length] ?? "system";
}

customElements.define("theme-switch", ThemeSwitch);
