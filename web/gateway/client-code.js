// <client-code>: code for several clients, one at a time behind tabs, each with the model that is asked for.

import { CopyText } from "/assets/components/copy-text.js";
import { TabSet } from "/assets/components/tab-set.js";

export class ClientCode extends TabSet {
  /** @param {string} model what the samples ask for */
  set model(model) {
    for (const copy of this.querySelectorAll("copy-text")) {
      if (!(copy instanceof CopyText)) continue;
      copy.dataset.template ??= copy.text;
      copy.text = copy.dataset.template.replaceAll("%MODEL%", model);
    }
  }
}

customElements.define("client-code", ClientCode);
