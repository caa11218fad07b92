// <gateway-playground>: asks /v1/chat/completions and shows the answer as it arrives, with who gave it and how fast.

import { ProblemNote } from "/assets/components/problem-note.js";
import { Problem } from "/assets/fetch.js";
import { count, span } from "/assets/format.js";
import { ask } from "./chat.js";
import { refusalWords } from "./words.js";

const FIRST_QUESTION = "Say in one sentence what happens to a request when its provider fails.";
/** A simulated model says back what it is told, so it should be told what is true. */
const FIRST_ECHO = "A simulated model says back what it is told. This came back through the gateway, token by token.";

export class GatewayPlayground extends HTMLElement {
  #form = document.createElement("form");
  #model = document.createElement("input");
  #models = document.createElement("datalist");
  #question = document.createElement("textarea");
  #stream = checkbox("As a stream", true);
  #fresh = checkbox("Past the cache", false);
  #key = document.createElement("input");
  #send = document.createElement("button");
  #stop = document.createElement("button");
  #answer = document.createElement("div");
  #facts = document.createElement("dl");
  #status = document.createElement("p");
  #hint = document.createElement("p");
  #problems = new ProblemNote();
  #stopping = new AbortController();
  #isBuilt = false;

  connectedCallback() {
    if (this.#isBuilt) return;
    this.#isBuilt = true;
    this.#build();
  }

  /** @param {string} model the one to begin with */
  set model(model) {
    if (this.#model.value === "" && document.activeElement !== this.#model) this.#model.value = model;
  }

  /** @param {readonly string[]} names those to offer; others may be typed */
  set models(names) {
    if (names.join("\n") === [...this.#models.options].map(({ value }) => value).join("\n")) return;
    this.#models.replaceChildren(...names.map((name) => new Option(name, name)));
  }

  /** @param {boolean} isSimulated nobody but simulated models answers here */
  set simulated(isSimulated) {
    this.#hint.hidden = !isSimulated;
    if (isSimulated && this.#question.value === FIRST_QUESTION) this.#question.value = FIRST_ECHO;
  }

  /** @param {boolean} isOn */
  set enabled(isOn) {
    this.#send.disabled = !isOn;
  }

  #build() {
    this.#model.id = "playground-model";
    this.#model.type = "text";
    this.#model.required = true;
    this.#model.autocomplete = "off";
    this.#model.spellcheck = false;
    this.#models.id = "playground-models";
    this.#model.setAttribute("list", this.#models.id);
    this.#question.id = "playground-question";
    this.#question.rows = 3;
    this.#question.value = FIRST_QUESTION;
    this.#question.required = true;
    this.#question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    this.#key.id = "playground-key";
    this.#key.type = "password";
    this.#key.autocomplete = "off";
    this.#key.placeholder = "only where keys are configured";
    this.#send.type = "submit";
    this.#send.className = "button button-primary";
    this.#send.textContent = "Ask";
    this.#stop.type = "button";
    this.#stop.className = "button";
    this.#stop.textContent = "Stop";
    this.#stop.hidden = true;
    this.#stop.addEventListener("click", () => this.#stopping.abort());
    const options = document.createElement("div");
    options.className = "playground-options";
    options.append(field("Model", this.#model), this.#models, field("Key", this.#key), this.#stream.label, this.#fresh.label);
    this.#hint.className = "small soft";
    this.#hint.hidden = true;
    this.#hint.textContent = "Simulated models: echo says back what it is told, story tells one at length.";
    const actions = document.createElement("div");
    actions.className = "playground-actions";
    actions.append(this.#send, this.#stop);
    this.#form.append(field("Question", this.#question), options, this.#hint, actions);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#ask();
    });
    this.#answer.className = "answer";
    this.#answer.dataset.state = "empty";
    this.#answer.textContent = "The answer will stand here.";
    this.#facts.className = "facts";
    this.#status.className = "small soft";
    this.#status.setAttribute("role", "status");
    const side = document.createElement("div");
    side.className = "playground-answer";
    side.append(this.#answer, this.#facts, this.#status, this.#problems);
    this.replaceChildren(this.#form, side);
  }

  async #ask() {
    // Whoever asks again no longer waits for the answer before.
    this.#stopping.abort();
    const mine = new AbortController();
    this.#stopping = mine;
    const isMine = () => this.#stopping === mine;
    this.#problems.show(null);
    this.#answer.textContent = "";
    this.#answer.dataset.state = "running";
    this.#facts.replaceChildren();
    this.#stop.hidden = false;
    this.#say("Asking …");
    const question = {
      model: this.#model.value.trim(),
      messages: [{ role: "user", content: this.#question.value }],
      stream: this.#stream.input.checked,
      isFresh: this.#fresh.input.checked,
      key: this.#key.value.trim(),
    };
    try {
      const answer = await ask(question, {
        signal: mine.signal,
        onHead: (head) => isMine() && this.#show([["Provider", head.provider || "–"], ["Cache", head.cache || "–"]]),
        onText: (text) => isMine() && this.#answer.append(text),
      });
      if (isMine()) this.#finish(answer);
    } catch (error) {
      if (isMine()) this.#fail(error);
    } finally {
      if (isMine()) this.#stop.hidden = true;
    }
  }

  /** @param {import("./chat.js").Answer} answer */
  #finish(answer) {
    this.#answer.dataset.state = "done";
    this.#show(factsOf(answer));
    this.#say(`Answered by ${answer.cache === "hit" ? "the cache" : answer.provider || "a provider"} in ${span(answer.elapsed_ms)}.`);
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#answer.dataset.state = "failed";
    if (this.#stopping.signal.aborted) return this.#say("Stopped. The gateway hangs up on the provider, unless others wait for the same answer.");
    this.#say("There is no whole answer.");
    this.#tell(error instanceof Problem ? error : new Problem({ kind: "garbled", detail: String(error) }));
  }

  /** @param {Problem} problem */
  #tell(problem) {
    this.#problems.show(problem);
    const words = refusalWords(problem);
    const [headline, rest] = this.#problems.children;
    if (words === null || headline === undefined || rest === undefined) return;
    headline.textContent = words.headline;
    rest.textContent = words.detail;
  }

  /** @param {[string, string][]} facts */
  #show(facts) {
    this.#facts.replaceChildren(
      ...facts.map(([name, value]) => {
        const pair = document.createElement("div");
        const term = document.createElement("dt");
        term.textContent = name;
        const description = document.createElement("dd");
        description.textContent = value;
        pair.append(term, description);
        return pair;
      }),
    );
  }

  /** @param {string} words */
  #say(words) {
    this.#status.textContent = words;
  }
}

/**
 * @param {import("./chat.js").Answer} answer
 * @returns {[string, string][]}
 */
function factsOf(answer) {
  return [
    ["Provider", answer.provider || "–"],
    ["Model", answer.model || "–"],
    ["Cache", answer.cache || "–"],
    ["Attempts", answer.attempts || "–"],
    ["First token", span(answer.first_token_ms)],
    ["Whole", span(answer.elapsed_ms)],
    ["Chunks", count(answer.chunks)],
    ["Tokens", `${count(answer.usage?.prompt_tokens)} in, ${count(answer.usage?.completion_tokens)} out`],
  ];
}

/**
 * @param {string} label
 * @param {HTMLElement} control
 */
function field(label, control) {
  const wrapper = document.createElement("div");
  const words = document.createElement("label");
  words.htmlFor = control.id;
  words.textContent = label;
  wrapper.append(words, control);
  return wrapper;
}

/**
 * @param {string} words
 * @param {boolean} isChecked
 */
function checkbox(words, isChecked) {
  const label = document.createElement("label");
  label.className = "check";
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = isChecked;
  label.append(input, ` ${words}`);
  return { label, input };
}

customElements.define("gateway-playground", GatewayPlayground);
