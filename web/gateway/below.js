// What stands below the lanes and waits for a visitor's hand: the steady stream, the faults, the playground, the code.
// Loaded when somebody gets near to it, so that the lanes are there sooner.

import "/assets/components/copy-text.js";
import { one as element } from "/assets/dom.js";
import { BreakIt } from "./break-it.js";
import { ClientCode } from "./client-code.js";
import { GatewayPlayground } from "./playground.js";
import { SteadyStream } from "./steady-stream.js";

/** What the samples ask for where no model is known. */
const ANY_MODEL = "gpt-5-mini";

const steady = element("steady-stream", SteadyStream);
const breakIt = element("break-it", BreakIt);
const playground = element("gateway-playground", GatewayPlayground);
const code = element("client-code", ClientCode);

/** @param {import("./status.js").Status} status */
export function show({ models, targets, simulated }) {
  const [model = ""] = models;
  steady.model = playground.model = model;
  steady.first = simulated[0] ?? "";
  playground.models = models;
  playground.simulated = steady.simulated = targets.length > 0 && targets.every((target) => target.simulated);
  code.model = model === "" ? ANY_MODEL : model;
  breakIt.offer(simulated);
}

/** @param {boolean} isUp whether the gateway takes requests */
export function enable(isUp) {
  steady.enabled = playground.enabled = isUp;
}
