// Runs one stampede: asks for it, follows it, and brings back its result, whatever the connection does meanwhile.

import { Problem, requestJson } from "/assets/fetch.js";
import { Stream } from "/assets/stream.js";

/** Between two looks at a run whose stream cannot be followed. */
const POLL_MS = 1000;

/**
 * @param {{buyers: number, seats: number, seed: number | null}} wish
 * @param {{onProgress: (point: any) => void, onState: (words: string) => void}} listeners
 * @returns {Promise<any>} the result document
 * @throws {Problem} when it was refused, or cannot be found again
 */
export async function runStampede(wish, listeners) {
  const { status, data } = await requestJson("/api/frontrow/stampede", {
    method: "POST",
    body: wish,
    headers: { prefer: "respond-async" },
    timeout_ms: 130_000,
  });
  return status === 202 ? followRun(data, listeners) : data;
}

/**
 * Follows a run until its end.
 * @param {{run_id: string, events_url?: string}} run
 * @param {{onProgress: (point: any) => void, onState: (words: string) => void}} listeners
 * @returns {Promise<any>} the result document
 * @throws {Problem} when the host no longer knows the run
 */
export function followRun({ run_id, events_url }, { onProgress, onState }) {
  const url = `/api/frontrow/runs/${encodeURIComponent(run_id)}`;
  return new Promise((resolve, reject) => {
    const stream = new Stream(events_url ?? `${url}/events`, {
      staleAfter_ms: 20_000,
      pauseWhenHidden: false,
      onEvent: (event) => {
        if (event.type === "progress") onProgress(JSON.parse(event.data));
        if (event.type === "result") finish(JSON.parse(event.data));
      },
      onState: (state) => {
        if (state.name === "waiting") {
          onState("The connection was lost; the run goes on. Reconnecting …");
          if (state.problem?.status === 404) fail(state.problem);
        }
      },
    });
    // The stream is the fast way; asking now and then is the sure one.
    const poll = setInterval(() => {
      if (stream.state.name === "live") return;
      requestJson(url).then(
        ({ data }) => {
          if (data.state !== "running") finish(data);
        },
        (error) => {
          if (error instanceof Problem && error.status === 404) fail(error);
        },
      );
    }, POLL_MS);
    const stop = () => {
      clearInterval(poll);
      stream.close();
    };
    /** @param {any} result */
    function finish(result) {
      stop();
      resolve(result);
    }
    /** @param {unknown} error */
    function fail(error) {
      stop();
      reject(error);
    }
  });
}
