// The proof in sentences, while it runs and when it is over. Pure.

import { count, counted, span } from "../assets/format.js";

/**
 * @param {any} result
 * @returns {string}
 */
export function proofWords(result) {
  const cut = result?.streams_cut_with_an_error ?? 0;
  const by = Object.entries(result?.answered_by ?? {}).map(([name, number]) => `${count(number)} by ${name}`);
  const times = [
    ...(typeof result?.p50_ms === "number" ? [`p50 ${span(result.p50_ms)}`] : []),
    ...(typeof result?.p99_ms === "number" ? [`p99 ${span(result.p99_ms)}`] : []),
  ];
  return [
    `${count(result?.answered)} of ${count(result?.requests)} answered${by.length > 0 ? `, ${by.join(", ")}` : ""}.`,
    ...(cut > 0 ? [`${counted(cut, "stream")} had begun when the provider died, and ended with an error, not as if whole.`] : []),
    `${count(result?.failed)} failed.`,
    ...(times.length > 0 ? [`${times.join(", ")}.`] : []),
  ].join(" ");
}

/** Counts the proof's own requests among the steps of all. */
export class ProofCount {
  sent = 0;
  answered = 0;
  failed = 0;

  /** @param {readonly import("./sparks.js").Step[]} steps */
  hear(steps) {
    for (const { id, step, state } of steps) {
      if (!id.startsWith("proof-")) continue;
      if (step === "arrived") this.sent += 1;
      if (step === "ended" && state === "ok") this.answered += 1;
      if (step === "ended" && state !== "ok") this.failed += 1;
    }
  }

  get words() {
    return `${count(this.sent)} sent, ${count(this.answered)} answered so far.`;
  }
}
