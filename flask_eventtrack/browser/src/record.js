import { announce } from "./announce.js";
import { deliver } from "./delivery.js";
import { uuid7 } from "./ids.js";
import { now, parse, Promise, setTimeout, stringify } from "./natives.js";

/**
 * @typedef {{ [name: string]: unknown }} Params
 * @typedef {{ code: string, message: string, param: string | null }} Problem
 * @typedef {"accepted" | "duplicate" | "rejected" | "queued" | "dropped"} Status
 * @typedef {{ event_id: string, status: Status, error?: Problem }} Result
 */

const PATIENCE = 5000; // ms

/**
 * Checks an event and hands it to the delivery. The promise always resolves: a rejection that
 * nobody handles would litter the page's error log.
 * @param {{ id: string, visit?: string }} page where it happened
 * @param {string} action
 * @param {Params | undefined} params
 * @param {string | undefined} label
 * @param {(params: Params) => object} complete adds the defaults
 * @param {string} [event_id]
 * @returns {Promise<Result>}
 */
export function record(page, action, params = {}, label, complete, event_id = uuid7()) {
  return new Promise((resolve) => {
    /** @type {(status: Status, error?: Problem | null) => void} */
    const settle = (status, error) => {
      const result = { event_id, status, error: error || undefined };
      if (error || status === "dropped") announce("error", result);
      resolve(result);
    };
    let code = "invalid_action";
    try {
      if (typeof action !== "string") throw "action must be a string";
      code = "invalid_params";
      if ({}.toString.call(params) !== "[object Object]") throw "params must be a plain object";
      const event = {
        event_id,
        action,
        // A copy: what the page changes in them later did not happen.
        params: complete(parse(stringify(params))),
        label: label == null ? undefined : `${label}`,
        time: now(),
        visit: page.visit,
        page: page.id,
      };
      deliver({ event, settle });
      setTimeout(() => settle("queued"), navigator.onLine ? PATIENCE : 0);
    } catch (error) {
      settle("rejected", { code, message: String(error), param: null });
    }
  });
}
