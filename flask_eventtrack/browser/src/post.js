import { problem } from "./announce.js";
import { hooks } from "./core.js";
import { AbortSignal, fetch, now, stringify } from "./natives.js";
import { collector } from "./tag.js";
import { csrfToken, readEpoch } from "./visitor.js";

/** @typedef {import("./core.js").Kept} Kept */

const TIMEOUT = 30000; // ms
const KEEPALIVE_MAX = 21000; // characters: of three bytes at most, and browsers refuse 64 KiB

/** The encoded events as the inside of a list. @param {Kept[]} events */
export const join = (events) => `${events.map(({ text }) => text)}`;

/**
 * @param {Kept[]} events of one epoch
 * @param {number} dropped how many others were lost
 * @returns {Promise<Response>}
 */
const request = async (events, dropped) => {
  // By now the cookies may be somebody else's: the server then goes by the visits.
  const { epoch } = events[0];
  const by_visit = !!epoch && epoch !== readEpoch();
  const rest = stringify({
    sent_at: now(),
    dropped,
    csrf_token: csrfToken(),
    by_visit,
  });
  const body = `{"events":[${join(events)}],${rest.slice(1)}`;
  // As text/plain, which needs no preflight.
  return (
    (hooks.beacon && hooks.beacon(body)) ||
    fetch(collector, {
      method: "POST",
      credentials: by_visit ? "omit" : "include",
      keepalive: body.length < KEEPALIVE_MAX,
      body,
      signal: AbortSignal.timeout && AbortSignal.timeout(TIMEOUT),
    })
  );
};

/**
 * Posts encoded events. Throws when they should be sent again.
 * @param {Kept[]} events
 * @returns {Promise<import("./record.js").Answer[]>}
 */
export const post = async (events) => {
  const { dropped } = hooks;
  let response = await request(events, dropped);
  // The refusal has set a fresh cookie.
  if (response.status === 403) response = await request(events, dropped);
  const { status } = response;
  const { results, code = `http_${status}`, detail = code } =
    (await response.json().catch(() => 0)) || {};
  // An answer without a result for the last event is not ours, but a hotel's log-in page, say.
  if (results && (results[events.length - 1] || 0).status) {
    hooks.dropped -= dropped;
    return results;
  }
  const error = problem(code, detail);
  if (/^4(?!08|29)/.test(`${status}`)) return events.map(() => ({ status: "rejected", error }));
  // Where there is none, null as a number is 0.
  throw { error, wait: +(/** @type {string} */ (response.headers.get("Retry-After"))) };
};
