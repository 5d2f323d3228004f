import { problem } from "./announce.js";
import { hooks } from "./core.js";
import { AbortSignal, fetch, now, stringify, URL } from "./natives.js";
import { place } from "./tag.js";
import { epochOf, readOwner } from "./visitor.js";

/** @typedef {import("./core.js").Kept} Kept */

const TIMEOUT = 30000; // ms
const KEEPALIVE_MAX = 21000; // characters: of three bytes at most, and browsers refuse 64 KiB

/** The encoded events as the inside of a list. @param {Kept[]} events */
export const join = (events) => `${events.map(({ encoded }) => encoded)}`;

/**
 * Posts encoded events. Throws when they should be sent again.
 * @param {Kept[]} events of one epoch
 * @returns {Promise<import("./record.js").Answer[]>}
 */
export const post = async (events) => {
  const { dropped } = hooks;
  let tries = 2;
  let response;
  do {
    // By now the cookies may be somebody else's: the server then goes by the owner and the visits.
    const { owner } = events[0];
    const csrf_token = readOwner();
    const by_visit = owner && epochOf(owner) !== epochOf(csrf_token);
    const rest = stringify({ sent_at: now(), dropped, csrf_token, by_visit, owner });
    const body = `{"events":[${join(events)}],${rest.slice(1)}`;
    // As text/plain, which needs no preflight.
    response = await (
      (hooks.beacon && hooks.beacon(body)) ||
      fetch(new URL("../in", place), {
        method: "POST",
        credentials: by_visit ? "omit" : "include",
        keepalive: body.length < KEEPALIVE_MAX,
        body,
        signal: AbortSignal.timeout && AbortSignal.timeout(TIMEOUT),
      })
    );
    // The refusal has set a fresh cookie.
  } while (response.status === 403 && --tries);
  const { status } = response;
  const { results, code = `http_${status}`, detail = code } =
    (await response.json().catch(() => 0)) || {};
  const error = problem(code, detail);
  // An answer without a result for the last event is not ours, but a hotel's log-in page, say.
  if (results && (results[events.length - 1] || 0).status) {
    hooks.dropped -= dropped;
    return results;
  }
  const isFinal = /^4(?!08|29)/.test(/** @type {any} */ (status));
  if (isFinal) return events.map(() => ({ status: "rejected", error }));
  // Where there is none, null as a number is 0.
  throw { error, wait: +(/** @type {string} */ (response.headers.get("Retry-After"))) };
};
