// The cache, seen by a client: one question, asked twice; then by two at once.

import { html, one } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { span } from "/assets/format.js";

const URL_PATH = "/v1/chat/completions";
const TIMEOUT_MS = 60_000;

/**
 * @param {HTMLElement} section
 * @param {(words: string) => void} say
 */
export async function ask(section, say) {
  const button = one("button", HTMLButtonElement, section);
  const rows = one("tbody", HTMLTableSectionElement, section);
  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    rows.replaceChildren();
    say("Asking …");
    try {
      const alone = `What does a gateway keep? (${crypto.randomUUID()})`;
      rows.append(row("first", await answerTo(alone)), row("again", await answerTo(alone)));
      const together = `And when two ask at once? (${crypto.randomUUID()})`;
      const both = await Promise.all([answerTo(together), answerTo(together)]);
      rows.append(...both.map((answer) => row("at once", answer)));
      say("");
    } catch (error) {
      const { headline, detail, next } = explain(error);
      say(`${headline}. ${detail} ${next}`);
    } finally {
      button.disabled = false;
    }
  });
}

/** @param {string} content */
async function answerTo(content) {
  const body = { model: "demo", messages: [{ role: "user", content }] };
  const began_ms = performance.now();
  const { headers } = await requestJson(URL_PATH, { method: "POST", body, timeout_ms: TIMEOUT_MS });
  return { took_ms: performance.now() - began_ms, headers };
}

/**
 * @param {string} asked
 * @param {{took_ms: number, headers: Headers}} answer
 */
function row(asked, { took_ms, headers }) {
  const said = (/** @type {string} */ name) => headers.get(`x-quartet-${name}`) ?? "–";
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, asked),
    html("td", {}, html("code", {}, said("cache"))),
    html("td", {}, said("provider")),
    html("td", { class: "number" }, span(took_ms)),
  );
}
