// The guided experiments: each asks first, then does it to the running cluster and reads the answer off it.

import { listed } from "./words.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {{value: string, text: string}} Choice */
/** @typedef {{value: string, text: string}} Found `value`: the choice that came true, or "" when nothing can be said */

/**
 * What an experiment has to work with.
 * @typedef {object} Bench
 * @property {Model} model
 * @property {(body: Record<string, unknown>) => Promise<any>} act
 * @property {(holds: () => boolean, within_ms: number) => Promise<boolean>} until
 * @property {(value: string, node?: number) => Promise<boolean>} write whether a value was committed
 * @property {(text: string) => void} say what goes on
 * @property {(topology: string) => Promise<any>} play sets a topology up and waits until it is measured
 * @property {() => readonly import("./model.js").RaftEvent[]} events since the experiment began
 */

/**
 * @typedef {object} Guess
 * @property {string} name
 * @property {string} title
 * @property {(model: Model) => string} question
 * @property {(model: Model) => Choice[]} choices
 * @property {(bench: Bench) => Promise<Found>} run the cluster is whole and led when it begins
 */

const ELECTED_WITHIN_MS = 6000;
const STEPS_DOWN_WITHIN_MS = 6000;
const STABLE_ELECTIONS = 2;
const STABLE_LEADERLESS_MS = 2000;

/** @type {Guess} */
const nextLeader = {
  name: "next-leader",
  title: "The leader dies",
  question: () => "The leader is killed. Who leads next?",
  choices: (model) => [...followers(model).map((id) => ({ value: String(id), text: `n${id}` })), { value: "0", text: "nobody" }],
  async run({ model, act, until }) {
    const old = model.leader;
    await act({ action: "kill", node: old });
    const isLed = await until(() => model.leader !== 0 && model.leader !== old, ELECTED_WITHIN_MS);
    const [next, term] = [isLed ? model.leader : 0, model.document.cluster.term];
    await act({ action: "restart", node: old });
    if (next === 0) return { value: "0", text: `Nobody took over from n${old} in time.` };
    return {
      value: String(next),
      text: `n${next} took over from n${old} on term ${term}, ${model.document.cluster.failover_ms} ms later. Whose timer runs out first stands first, and timers are drawn by lot; only a log that lacks something would have kept it from winning.`,
    };
  },
};

/** @type {Guess} */
const howMany = {
  name: "how-many",
  title: "One after the other",
  question: (model) => `Of ${model.ids.length} nodes one after the other is killed. With how many dead is a write no longer committed?`,
  choices: (model) => model.ids.slice(1).map((_, place) => ({ value: String(place + 1), text: String(place + 1) })),
  async run({ model, act, write, say }) {
    const order = [...followers(model), model.leader];
    for (const [place, id] of order.entries()) {
      await act({ action: "kill", node: id });
      say(`${listed(order.slice(0, place + 1).map((each) => `n${each}`))} dead: writing …`);
      if (!(await write(`with ${place + 1} dead`))) {
        return {
          value: String(place + 1),
          text: `With ${place} dead it was committed, with ${place + 1} dead it was not: ${order.length - place - 1} of ${order.length} are no majority. They answer nobody rather than answer wrongly.`,
        };
      }
    }
    return { value: "", text: "Every write was committed: somebody else started nodes meanwhile." };
  },
};

/** @type {Guess} */
const staleLog = {
  name: "stale-log",
  title: "Back from a long absence",
  question: (model) => `n${away(model)} is cut off while values are written. Then the leader dies, n${away(model)} is connected again and stands for election at once, before all others. Is it elected?`,
  choices: () => [
    { value: "yes", text: "yes, it stands first" },
    { value: "no", text: "no" },
  ],
  async run({ model, act, until, write, say, events }) {
    const [old, back] = [model.leader, away(model)];
    await act({ action: "isolate", node: back });
    say(`n${back} is cut off; writing …`);
    for (const value of ["one", "two", "three"]) await write(value);
    await act({ action: "kill", node: old });
    await act({ action: "partition", groups: [model.ids] });
    await act({ action: "campaign", node: back });
    say(`n${old} died, n${back} is connected and stands …`);
    if (!(await until(() => model.leader !== 0 && model.leader !== old, ELECTED_WITHIN_MS))) return { value: "", text: "Nobody was elected in time." };
    const refused = events().find(({ kind, text }) => kind === "refused" && text.includes(`n${back} its`));
    const why = refused === undefined ? "" : ` In their words: “${refused.text}.”`;
    if (model.leader === back) return { value: "yes", text: `n${back} leads: it had caught up before anybody else stood.` };
    return { value: "no", text: `n${model.leader} leads. Nobody votes for a candidate whose log lacks what one’s own holds, so what was committed is in every leader’s log (paper §5.4.1).${why}` };
  },
};

/** @type {Record<string, (bench: Bench) => Promise<Found>>} how a topology's answer is read off; values are places in its answers */
const OF_TOPOLOGY = {
  async "split-3-2"({ model, play, until, write }) {
    const old = model.leader;
    const playing = play("split-3-2");
    await until(() => model.leader !== 0 && model.leader !== old, ELECTED_WITHIN_MS);
    const [leader, isCommitted] = [model.leader, await write("after the split")];
    const { leaderless_ms } = await playing;
    if (!isCommitted) return { value: "3", text: "No write was committed on either side." };
    return { value: leader === old ? "0" : "1", text: `n${leader} committed a write, on the side with three; n${old} has no majority and cannot. ${leaderless_ms} ms passed without a leader.` };
  },
  async "minority-leader"({ model, act, play, until, write, say }) {
    const old = model.leader;
    const playing = play("minority-leader");
    await until(() => model.links.size > 0, ELECTED_WITHIN_MS);
    say(`Writing at n${old}, which is alone …`);
    const isCommitted = await write("written in the minority", old);
    await playing;
    await act({ action: "heal" });
    const { value } = await act({ action: "read", key: KEY });
    if (isCommitted) return { value: "0", text: `n${old} had it committed.` };
    if (value === "written in the minority") return { value: "2", text: "It is there after all: n" + old + " found a majority again before it gave up." };
    return { value: "1", text: `n${old} could not say that it was committed, and after the network healed it is not there: the entry of the old term was replaced.` };
  },
  async "one-way"({ model, play, until }) {
    const old = model.leader;
    const playing = play("one-way");
    await until(() => model.links.size > 0, ELECTED_WITHIN_MS);
    const began = model.document.t;
    const ended = await until(() => model.nodes.get(old)?.role !== "leader", STEPS_DOWN_WITHIN_MS);
    const took_ms = model.document.t - began;
    await playing;
    if (!ended) return { value: "0", text: `n${old} still calls itself leader.` };
    return { value: "1", text: `n${old} stepped down within ${took_ms} ms: no majority answered it any more. Without check-quorum its heartbeats would have kept the others quiet for ever.` };
  },
  async bridge({ model, play }) {
    const old = model.leader;
    const { leaderless_ms, elections } = await play("bridge");
    if (model.leader === 0) return { value: "2", text: `Nobody led in the end, ${leaderless_ms} ms in all.` };
    return { value: model.leader === old ? "0" : "1", text: `n${model.leader} leads after ${elections} election${elections === 1 ? "" : "s"}; ${leaderless_ms} ms passed without a leader.` };
  },
  async howard({ act, play, say }) {
    say("First without pre-vote and check-quorum …");
    await act({ action: "rules", pre_vote: false, check_quorum: false });
    const without = await play("howard").finally(() => act({ action: "rules", pre_vote: true, check_quorum: true }));
    say("Then with both …");
    const having = await play("howard");
    const words = `Without them: ${described(without)}. With both: ${described(having)}.`;
    return { value: isStable(without) ? (isStable(having) ? "0" : "2") : isStable(having) ? "1" : "2", text: words };
  },
};

/** The key that experiments write. */
export const KEY = "experiment";

/**
 * All experiments; those of topologies ask what the host wants asked.
 * @param {readonly {name: string, title: string, question: string, answers: readonly string[]}[]} topologies
 * @returns {Guess[]}
 */
export function guesses(topologies) {
  const played = topologies.flatMap(({ name, title, question, answers }) => {
    const run = OF_TOPOLOGY[name];
    return run === undefined ? [] : [{ name, title, question: () => question, choices: () => answers.map((text, place) => ({ value: String(place), text })), run }];
  });
  return [nextLeader, howMany, staleLog, ...played];
}

/** @param {Model} model */
function followers(model) {
  return model.ids.filter((id) => id !== model.leader);
}

/** @param {Model} model */
function away(model) {
  return followers(model)[0] ?? 0;
}

/** @param {{leaderless_ms: number, elections: number}} found */
function isStable({ leaderless_ms, elections }) {
  return elections <= STABLE_ELECTIONS && leaderless_ms < STABLE_LEADERLESS_MS;
}

/** @param {{leaderless_ms: number, elections: number}} found */
function described({ leaderless_ms, elections }) {
  return `${elections} election${elections === 1 ? "" : "s"} and ${leaderless_ms} ms without a leader in six seconds`;
}
