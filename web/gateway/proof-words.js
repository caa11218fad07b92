// The result of the proof in a sentence. Pure.

import { count, span } from "../assets/format.js";

/**
 * @param {any} result
 * @returns {string}
 */
export function proofWords(result) {
  const parts = [`${count(result?.sent)} sent, ${count(result?.answered)} answered, ${count(result?.failed)} failed at the client`];
  if (typeof result?.fell_back === "number") parts.push(`${count(result.fell_back)} taken over by a fallback`);
  const times = [
    ...(typeof result?.p50_ms === "number" ? [`p50 ${span(result.p50_ms)}`] : []),
    ...(typeof result?.p99_ms === "number" ? [`p99 ${span(result.p99_ms)}`] : []),
  ];
  const killed = typeof result?.killed === "string" ? ` ${result.killed} was killed on the way.` : "";
  return `${parts.join("; ")}.${killed}${times.length > 0 ? ` ${times.join(", ")}.` : ""}`;
}
