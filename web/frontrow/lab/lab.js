// What stands behind the tabs of /frontrow. Loaded when somebody gets near to it.

import { html, one } from "/assets/dom.js";
import { TabSet } from "/assets/components/tab-set.js";
import { Audits } from "./audits.js";
import { Chaos } from "./chaos.js";
import { Comparison } from "./comparison.js";

document.head.append(html("link", { rel: "stylesheet", href: "/frontrow/lab/faults.css" }));
const audits = new Audits();
new Comparison();
new Chaos((audit) => audits.show(audit));

// A link may lead to a tab: /frontrow#chaos.
const tabs = one("#lab", TabSet);
const open = () => {
  const name = location.hash.slice(1);
  if (name === "" || tabs.querySelector(`[data-tab="${CSS.escape(name)}"]`) === null) return;
  tabs.show(name);
  tabs.scrollIntoView();
};
addEventListener("hashchange", open);
open();
