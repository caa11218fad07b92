// The permanent page of a run: the rendered result stands; this adds the picture, and follows a run still under way.

import "/assets/components/copy-text.js";
import "/assets/components/percentile-strip.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { requestJson } from "/assets/fetch.js";
import { count, moment } from "/assets/format.js";
import { followPicture } from "./clock.js";
import { RunTimeline } from "./lab/run-timeline.js";
import { RunResult, stamp } from "./run-result.js";
import { followRun } from "./runner.js";
import { StampedePicture } from "./stampede-picture.js";

const page = /** @type {HTMLElement} */ (document.getElementById("run"));
const picture = /** @type {StampedePicture} */ (document.querySelector("stampede-picture"));
const outcome = /** @type {RunResult} */ (document.querySelector("run-result"));
const problems = /** @type {ProblemNote} */ (document.querySelector("problem-note"));
const phase = /** @type {HTMLElement} */ (document.getElementById("phase"));

followPicture(/** @type {HTMLElement} */ (document.querySelector(".stage")));
for (const time of document.querySelectorAll(".opening-words time")) stamp(time, moment);
show(page.dataset.run ?? "").catch((error) => problems.show(error));

/** @param {string} id */
async function show(id) {
  let { data: run } = await requestJson(`/api/frontrow/runs/${encodeURIComponent(id)}`);
  const wasRunning = run.state === "running";
  if (wasRunning) {
    picture.gather(run.buyers, run.seats, run.seed ?? 1);
    /** @type {any[]} */
    const points = [];
    run = await followRun(run, {
      onProgress: (point) => {
        points.push(point);
        picture.follow(points);
        phase.textContent = `${count((point.booked ?? 0) + (point.rejected ?? 0))} have their verdict.`;
      },
      onState: (words) => {
        phase.textContent = words;
      },
    });
    phase.textContent = "";
  }
  picture.show(run, { play: wasRunning });
  const timeline = document.querySelector("run-timeline");
  if (timeline instanceof RunTimeline) timeline.show(run);
  outcome.show(run, { ticking: wasRunning });
}
