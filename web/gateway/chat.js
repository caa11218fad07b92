// Asks the gateway as any OpenAI client would: /v1/chat/completions, as a whole or as a stream.

import { retryAfter_ms } from "../assets/backoff.js";
import { Problem } from "../assets/fetch.js";
import { EventParser } from "../assets/sse.js";

const URL_PATH = "/v1/chat/completions";

/**
 * @typedef {object} Question
 * @property {string} model
 * @property {{role: string, content: string}[]} messages
 * @property {boolean} stream
 * @property {boolean} [isFresh] the cache may not answer it
 * @property {string} [key] a virtual key, where the gateway wants one
 *
 * @typedef {object} Answer
 * @property {string} text
 * @property {string} model who answered, by its own account
 * @property {string} provider
 * @property {string} cache "hit", "miss", "joined" …
 * @property {string} attempts
 * @property {string} request_id
 * @property {boolean} isEcho a simulated model gave it, which says back what it is told
 * @property {string} finish_reason
 * @property {{prompt_tokens?: number, completion_tokens?: number} | null} usage
 * @property {number | null} first_token_ms from sending to the first text
 * @property {number} elapsed_ms
 * @property {number} chunks
 *
 * @typedef {Pick<Answer, "provider" | "cache" | "attempts" | "request_id" | "isEcho">} Head known before the text
 *
 * @typedef {object} Listener
 * @property {(head: Head) => unknown} [onHead]
 * @property {(text: string) => unknown} [onText] each new piece
 */

/**
 * @param {Question} question
 * @param {Listener & {signal?: AbortSignal}} [options]
 * @returns {Promise<Answer>} a complete one: it has its finish_reason, a stream its end mark too
 * @throws {Problem} when there is no answer, or only a part of one
 * @throws {DOMException} AbortError when `signal` was the cause
 */
export async function ask({ model, messages, stream, isFresh = false, key = "" }, { onHead, onText, signal } = {}) {
  const began = performance.now();
  const response = await send(JSON.stringify({ model, messages, stream, ...(stream ? { stream_options: { include_usage: true } } : {}) }), {
    isFresh,
    key,
    signal,
  });
  const head = {
    provider: response.headers.get("x-quartet-provider") ?? "",
    cache: (response.headers.get("x-quartet-cache") ?? "").toLowerCase(),
    attempts: response.headers.get("x-quartet-attempts") ?? "",
    request_id: response.headers.get("x-request-id") ?? "",
    isEcho: response.headers.get("x-quartet-simulated") === "true" && response.headers.get("x-quartet-model") === "echo",
  };
  if (!response.ok) throw problemOf(response, await response.text().catch(() => ""));
  onHead?.(head);
  const reading = new Reading(onText, began);
  try {
    if (stream) await readEvents(response, reading);
    else reading.whole(await response.json());
  } catch (error) {
    if (error instanceof Problem || signal?.aborted) throw error;
    throw new Problem({ kind: "garbled", title: "The answer broke off", detail: "The connection ended before the answer did." });
  }
  const answer = { ...head, ...reading.answer, elapsed_ms: performance.now() - began };
  if (answer.finish_reason === "") throw new Problem({ kind: "garbled", detail: "The answer has no end." });
  return answer;
}

/**
 * The problem in an answer's body, which has OpenAI's shape, or in the error event of a stream.
 * @param {{status: number, statusText: string, headers: Headers}} response
 * @param {string} text
 * @returns {Problem}
 */
export function problemOf(response, text) {
  /** @type {any} */
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // Whoever answered does not speak JSON; the status has to do.
  }
  const error = body.error ?? body;
  return new Problem({
    kind: "http",
    status: response.status,
    title: String(error.code ?? error.title ?? response.statusText),
    detail: String(error.message ?? error.detail ?? ""),
    request_id: response.headers.get("x-request-id") ?? "",
    retryAfter_ms: retryAfter_ms(response.headers.get("retry-after"), Date.now()),
  });
}

/** An answer as it comes together. */
export class Reading {
  /** @type {Omit<Answer, keyof Head | "elapsed_ms">} */
  answer = { text: "", model: "", finish_reason: "", usage: null, first_token_ms: null, chunks: 0 };
  isDone = false;
  #onText;
  #began;

  /**
   * @param {((text: string) => unknown) | undefined} onText
   * @param {number} began
   */
  constructor(onText, began) {
    this.#onText = onText;
    this.#began = began;
  }

  /** @param {any} document a chat.completion */
  whole(document) {
    const choice = document?.choices?.[0];
    this.#text(choice?.message?.content);
    this.answer.finish_reason = choice?.finish_reason ?? "";
    this.#common(document);
    this.isDone = true;
  }

  /**
   * One event of a stream.
   * @param {string} data
   * @throws {Problem} when it is an error
   */
  event(data) {
    if (data === "[DONE]") {
      this.isDone = true;
      return;
    }
    const document = JSON.parse(data);
    if (document.error) {
      throw new Problem({ kind: "garbled", title: String(document.error.code ?? "error"), detail: String(document.error.message ?? "") });
    }
    this.answer.chunks += 1;
    const choice = document.choices?.[0];
    this.#text(choice?.delta?.content);
    this.answer.finish_reason = choice?.finish_reason ?? this.answer.finish_reason;
    this.#common(document);
  }

  /** @param {any} document */
  #common(document) {
    this.answer.model = document?.model ?? this.answer.model;
    this.answer.usage = document?.usage ?? this.answer.usage;
  }

  /** @param {unknown} text */
  #text(text) {
    if (typeof text !== "string" || text === "") return;
    this.answer.first_token_ms ??= performance.now() - this.#began;
    this.answer.text += text;
    this.#onText?.(text);
  }
}

/**
 * @param {Response} response
 * @param {Reading} reading
 */
async function readEvents(response, reading) {
  if (response.body === null) throw new Problem({ kind: "garbled", detail: "The answer has no body." });
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    for (const { data } of parser.push(value)) reading.event(data);
  }
  if (!reading.isDone) throw new Problem({ kind: "garbled", title: "The stream broke off", detail: "It ended without its end mark." });
}

/**
 * @param {string} body
 * @param {{isFresh: boolean, key: string, signal: AbortSignal | undefined}} options
 * @returns {Promise<Response>}
 */
async function send(body, { isFresh, key, signal }) {
  try {
    return await fetch(URL_PATH, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        ...(isFresh ? { "cache-control": "no-cache" } : {}),
        ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
      },
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem({ kind: "offline", detail: "The connection failed." });
  }
}
