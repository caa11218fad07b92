// <run-timeline>: a run from the gun to the last verdict, with the moment at which something was broken.

import { html, svg } from "/assets/dom.js";
import { span } from "/assets/format.js";
import { courseOf } from "./course.js";

export class RunTimeline extends HTMLElement {
  /** @param {any} run a result document, or as much of one as is known */
  show(run) {
    const course = courseOf(run);
    const picture = svg(
      "svg",
      { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("path", { d: course.rejected, class: "course-rejected" }),
      svg("path", { d: course.booked, class: "course-booked" }),
      ...course.faults.map(({ share }) => svg("line", { x1: share * 100, x2: share * 100, y1: 0, y2: 100, class: "course-fault" })),
    );
    const marks = course.faults.map(({ share }) => {
      const mark = html("span", { class: "course-mark", "aria-hidden": "true" }, "▼");
      mark.style.setProperty("--share", `${share * 100}%`);
      return mark;
    });
    const labels = course.faults.map(({ name, at_ms }) => html("p", { class: "course-label" }, html("span", { "aria-hidden": "true" }, "▼ "), `${name} at ${span(at_ms)}`));
    const struck = course.faults.map(({ name, at_ms, inTime }) => ` ${name} struck at ${span(at_ms)}${inTime ? "" : ", after the last verdict"}.`).join("");
    const stage = html("div", { class: "course", role: "img", "aria-label": `From the gun to the last verdict in ${span(course.elapsed_ms)}.${struck}` }, picture, ...marks);
    const key = html("span", { class: "course-key" }, html("i", { class: "key-booked" }), "seats sold ", html("i", { class: "key-rejected" }), "turned away");
    this.replaceChildren(
      ...labels,
      stage,
      html("p", { class: "course-axis small soft" }, html("span", {}, "the gun"), key, html("span", {}, span(course.elapsed_ms))),
    );
    this.hidden = false;
  }
}

customElements.define("run-timeline", RunTimeline);
