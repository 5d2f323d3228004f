import { AbortController, fetch, now, Promise } from "./natives.js";
import { setTimeout, stringify, TextEncoder } from "./natives.js";
import { collector } from "./tag.js";

/**
 * @typedef {import("./record.js").Problem} Problem
 * @typedef {import("./record.js").Status} Status
 */

const TIMEOUT = 30000; // ms
const KEEPALIVE_MAX = 61440; // bytes: a page's requests share 64 KiB, and browsers refuse what is over
const canKeepAlive = "keepalive" in Request.prototype;

/** @param {string} text */
export const byteLength = (text) => new TextEncoder().encode(text).length;

function csrfToken() {
  try {
    return (/(?:^|; )eventtrack_csrf=([^;]*)/.exec(document.cookie) || [])[1];
  } catch (_) {
    // a sandboxed frame has no cookies
  }
}

/**
 * @param {string[]} events
 * @param {boolean} leaving
 * @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
async function request(events, leaving, signal) {
  const rest = stringify({ sent_at: now(), csrf_token: csrfToken() });
  const body = `{"events":[${events}],${rest.slice(1)}`;
  if (leaving && !canKeepAlive && navigator.sendBeacon && navigator.sendBeacon(collector, body)) {
    // A beacon has no answer. If the page lives on, the timeout has the events sent again.
    return new Promise((_, reject) => signal.addEventListener("abort", reject));
  }
  return fetch(collector, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    credentials: "same-origin",
    keepalive: byteLength(body) < KEEPALIVE_MAX,
    body,
    signal,
  });
}

/**
 * Posts encoded events. Throws when they should be sent again.
 * @param {string[]} events
 * @param {boolean} leaving the page may be gone before the answer comes
 * @returns {Promise<{ status: Status, error?: Problem | null }[]>}
 */
export async function post(events, leaving) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), TIMEOUT);
  let response = await request(events, leaving, controller.signal);
  // The refusal has set a fresh cookie.
  if (response.status === 403) response = await request(events, leaving, controller.signal);
  const { status } = response;
  const answer = (await response.json().catch(() => 0)) || {};
  if (answer.results) return answer.results;
  const code = answer.code || `http_${status}`;
  const wait = Number(response.headers.get("Retry-After")) || 0; // s
  const error = { code, message: answer.detail || answer.title || code, param: null };
  if (/^4(?!08|29)/.test(`${status}`)) return events.map(() => ({ status: "rejected", error }));
  // A 200 without results came from somebody else, such as a hotel's log-in page.
  throw { problem: error, wait };
}
