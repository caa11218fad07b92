// What stands below the ring: the logs and the promises. Loaded when somebody gets near to them.

import { Checks } from "./checks.js";
import { Logs } from "./logs.js";

/** @typedef {import("./model.js").Model} Model */

export class Below {
  #logs = new Logs();
  #checks = new Checks();

  /** @param {Model} model */
  show(model) {
    this.#logs.show(model);
    this.#checks.show(model.document.checks);
  }
}
