// The table of jobs, read anew every few seconds, and a button each that runs it now.

const API = "/api/scheduler";
const REFRESH_MS = 5000;

const form = /** @type {HTMLFormElement} */ (document.querySelector("#access"));
const state = /** @type {HTMLElement} */ (document.querySelector("#state"));
const rows = /** @type {HTMLElement} */ (document.querySelector("#jobs"));

/**
 * @param {string} path
 * @param {string} [method]
 */
async function ask(path, method = "GET") {
  const token = /** @type {HTMLInputElement} */ (form.elements.namedItem("token")).value;
  /** @type {Record<string, string>} */
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(API + path, { method, headers });
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document.detail ?? `The host answered ${answer.status}.`);
  return document;
}

/** @param {unknown} error */
const tell = (error) => (state.textContent = error instanceof Error ? error.message : String(error));

/** @param {any} job */
function row(job) {
  const line = document.createElement("tr");
  const next = job.next_due ? new Date(job.next_due).toLocaleString() : "paused";
  for (const text of [job.name, `${job.cron} ${job.zone}`, next, job.latest ?? "never run"]) {
    line.insertCell().textContent = text;
  }
  const button = document.createElement("button");
  button.className = "button button-small";
  button.textContent = "Run";
  button.setAttribute("aria-label", `Run ${job.name} now`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const run = await ask(`/jobs/${job.name}/run`, "POST");
      await refresh();
      state.textContent = `${job.name}: ${run.state}`;
    } catch (error) {
      tell(error);
      button.disabled = false;
    }
  });
  line.insertCell().append(button);
  return line;
}

async function refresh() {
  const { jobs } = await ask("/jobs");
  // Not under somebody's finger.
  if (!rows.contains(document.activeElement)) rows.replaceChildren(...jobs.map(row));
  state.textContent = jobs.length ? `${jobs.length} ${jobs.length === 1 ? "job" : "jobs"}` : "No job yet: PUT /api/scheduler/jobs/NAME makes one.";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh().catch(tell);
});
refresh().catch(tell);
setInterval(() => document.hidden || refresh().catch(tell), REFRESH_MS);
