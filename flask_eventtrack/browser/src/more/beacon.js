import { Promise, setTimeout, URL } from "../natives.js";

const TIMEOUT = 30000; // ms

/**
 * The last resort of a browser whose `fetch` does not outlive the page.
 * @param {import("./index.js").Core} core
 */
export function beacon({ hooks, place }) {
  if ("keepalive" in Request.prototype) return;
  // A beacon has no answer. If the page lives on, the events are sent again.
  hooks.beacon = (body) =>
    !!hooks.leaving &&
    navigator.sendBeacon(new URL("../in", place), body) &&
    new Promise((_, reject) => setTimeout(reject, TIMEOUT, "a beacon has none"));
}
