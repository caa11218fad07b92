// A customer's way from the map to the receipt, as states and what takes one to the next. Pure: no clock, no requests.
//
//   choosing ──▶ holding ──▶ held ──▶ paying ──▶ done
//       ▲           │          │ ▲       │
//       └───────────┴──────────┘ └───────┤ declined
//       └──────────────────────── over ◀─┘
//
// Whatever was asked for is kept with its Idempotency-Key before it is sent: after a reload it is asked again, and the
// answer is the same.

/** @typedef {"choosing" | "holding" | "held" | "paying" | "done" | "over"} Step */
/**
 * @typedef {object} Sale
 * @property {Step} step
 * @property {string} sentence what the customer is told
 * @property {{url: string, body: any, key: string} | null} asked what is under way
 * @property {string} token of the hold
 * @property {number[]} seats ids
 * @property {number | null} area
 * @property {number} quantity
 * @property {number} price
 * @property {string | null} currency
 * @property {number} total_ms the hold's or the payment's whole time
 * @property {number} until Unix milliseconds by this browser's clock: decoration, the box office decides
 * @property {string} order id, "" before there is one
 * @property {string} booking url, "" before there is one
 */

/** @type {Sale} */
export const NEW = {
  step: "choosing",
  sentence: "",
  asked: null,
  token: "",
  seats: [],
  area: null,
  quantity: 0,
  price: 0,
  currency: null,
  total_ms: 0,
  until: 0,
  order: "",
  booking: "",
};

const REFUSALS = /** @type {Record<string, string>} */ ({
  sold: "Somebody else was faster: it is sold. Choose others.",
  held: "Somebody else holds one of these. They come back if it is not paid.",
  blocked: "One of these is not for sale. Choose others.",
  "not-on-sale": "This sale is not open now.",
  "none-together": "So many are not free side by side there. Fewer, apart, or another price?",
  busy: "Others are faster just now. Try again.",
  "waiting-room": "It is not your turn yet.",
  "hold-lost": "Your hold ended, and somebody else holds one of these seats now. Nothing was taken.",
});

/** @param {string} type a problem's */
function short(type) {
  return type.slice(type.lastIndexOf("/") + 1).replace(/^.*:/, "");
}

/**
 * What a refusal is in a sentence.
 * @param {{type: string, detail: string, title: string}} problem
 * @returns {string}
 */
export function refusal({ type, detail, title }) {
  const said = detail || title;
  return REFUSALS[short(type)] ?? (said === "" ? "The box office refused this." : `${said.charAt(0).toUpperCase()}${said.slice(1)}.`);
}

/**
 * Something is asked for.
 * @param {Sale} sale
 * @param {Step} step
 * @param {{url: string, body: any, key: string}} asked
 * @param {string} sentence
 * @returns {Sale}
 */
export function asking(sale, step, asked, sentence) {
  return { ...sale, step, asked, sentence };
}

/**
 * The hold was granted.
 * @param {Sale} sale
 * @param {any} hold
 * @param {number} now Unix milliseconds
 * @returns {Sale}
 */
export function held(sale, hold, now) {
  const apart = hold.how === "apart" ? " They are not all side by side: no others were left." : "";
  const unprotected = hold.protected === false ? " Redis is away, so nothing keeps others out: whoever pays first has them." : "";
  const { token, seats, price, currency } = hold;
  const [area, quantity] = [hold.area ?? null, hold.quantity ?? 0];
  const sentence = `Held for you; nobody else can take ${seats.length + quantity === 1 ? "it" : "them"}.${apart}${unprotected}`;
  return { ...NEW, step: "held", sentence, token, seats, area, quantity, price, currency, total_ms: hold.ttl_ms, until: now + hold.ttl_ms };
}

/**
 * The order is made, which lengthened the hold.
 * @param {Sale} sale
 * @param {any} order
 * @param {number} now Unix milliseconds
 * @returns {Sale}
 */
export function ordered(sale, order, now) {
  return { ...sale, order: order.id, price: order.price, currency: order.currency, total_ms: Math.max(order.left_ms, 1), until: now + order.left_ms };
}

/**
 * What was asked for was refused before anything was held, or the request was wrong.
 * @param {Sale} sale
 * @param {{type: string, detail: string, title: string}} problem
 * @returns {Sale}
 */
export function refused(sale, problem) {
  const sentence = refusal(problem);
  if (sale.step === "holding") return { ...NEW, sentence };
  return over(sale, sentence);
}

/**
 * The answer to a payment.
 * @param {Sale} sale
 * @param {number} status of the answer, 0 when there was none
 * @param {{type: string, detail: string, title: string} | null} problem
 * @param {any} order the order's document, where the answer was one
 * @returns {Sale}
 */
export function paid(sale, status, problem, order) {
  if (status === 200 || status === 201) {
    return { ...sale, step: "done", asked: null, sentence: "Paid and confirmed. The seats are yours.", booking: order?.booking_url ?? order?.url ?? "" };
  }
  if (status === 202) return { ...sale, sentence: "Not decided yet: the provider has not said whether the money is there. Asking again …" };
  if (status === 402) return { ...sale, step: "held", asked: null, sentence: "The card was refused; nothing was taken. The seats are still held for you: try another card." };
  const type = short(problem?.type ?? "");
  if (status === 409 && type === "in-flight") return { ...sale, sentence: "The first request is still under way. Asking again …" };
  if (status === 409 && type === "seats-gone") return over(sale, "Somebody else has one of these seats now. Your money goes back.");
  if (status === 409 && type === "expired") return over(sale, "The time to pay was over. Nothing was taken, and the seats are on sale again.");
  if (status === 409 && type === "cancelled") return over(sale, "The order was given up. Nothing was taken.");
  if (status === 0 || status === 429 || status >= 500) {
    return { ...sale, sentence: "No answer yet, so nobody knows whether it was paid. Asking again with the same key: it is never paid twice." };
  }
  return refused(sale, problem ?? { type: "", detail: "", title: "" });
}

/**
 * The countdown came to its end, or the hold was given back.
 * @param {Sale} sale
 * @param {string} sentence
 * @returns {Sale}
 */
export function over(sale, sentence) {
  return { ...NEW, step: "over", sentence, order: sale.order };
}

/**
 * A kept sale as it stands at another time.
 * @param {unknown} kept
 * @param {number} now Unix milliseconds
 * @returns {Sale}
 */
export function restored(kept, now) {
  if (typeof kept !== "object" || kept === null || !("step" in kept)) return NEW;
  const sale = /** @type {Sale} */ ({ ...NEW, ...kept });
  if (sale.step === "held" && sale.until <= now) return over(sale, LAPSED);
  // A request that was not kept cannot be repeated.
  if ((sale.step === "holding" || sale.step === "paying") && sale.asked === null) return NEW;
  return sale;
}

export const LAPSED = "Your time is over: the seats are on sale again. Nothing was taken.";
