// What came of each system's proof, in one line. Pure.

import { counted, span } from "./format.js";

/** @type {Record<string, (result: any) => string>} */
export const OUTCOMES = {
  frontrow: ({ booked, rejected, oversold, elapsed_ms }) =>
    `${booked} booked, ${rejected} rejected, ${oversold} oversold, in ${span(elapsed_ms)} from the gun to the last verdict.`,
  raft: ({ old_leader, new_leader, failover_ms, term, lost, acknowledged }) =>
    (new_leader ? `n${new_leader} took over from n${old_leader} in ${span(failover_ms)}, in term ${term}.` : `Nobody took over from n${old_leader}.`) +
    ` ${lost} of ${counted(acknowledged, "acknowledged write")} lost.`,
  liveboard: ({ converged, seeds, operations, counts, elapsed_ms }) =>
    `${converged} of ${counted(seeds, "network")} converged, with ${counted(operations, "operation")} saved` +
    `${typeof counts?.lost === "number" ? ` and ${counted(counts.lost, "message")} lost on the way` : ""}, in ${span(elapsed_ms)}.`,
  gateway: ({ answered, requests, failed, streams_cut_with_an_error, p99_ms }) =>
    `${answered} of ${counted(requests, "request")} answered, ${failed} failed` +
    `${streams_cut_with_an_error ? `, ${counted(streams_cut_with_an_error, "stream")} cut and told so` : ""}; p99 ${span(p99_ms)}.`,
};
