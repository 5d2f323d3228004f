import { announce, problem } from "./announce.js";
import { hooks } from "./core.js";
import { deliver } from "./delivery.js";
import { uuid7 } from "./ids.js";
import { now, parse, Promise, setTimeout, stringify } from "./natives.js";
import { isRefused } from "./visitor.js";

/**
 * @typedef {{ [name: string]: unknown }} Params
 * @typedef {{ code: string, message: string, param: string | null }} Problem
 * @typedef {"accepted" | "duplicate" | "rejected" | "queued" | "dropped"} Status
 * @typedef {{ status: Status, error?: Problem | null }} Answer
 * @typedef {Answer & { event_id: string }} Result
 */

const PATIENCE = 5000; // ms

/**
 * Encodes an event and hands it to the delivery. The promise always resolves: an
 * unhandled rejection would litter the page's error log.
 * @param {import("./core.js").Page} page where it happened
 * @param {string} action
 * @param {Params} params
 * @param {string | undefined} label
 * @param {(isOver: boolean) => object} facts what is added to the params
 * @param {boolean} [isHeld] whether the facts may still change: they are read later
 * @returns {Promise<Result>}
 */
export const record = (page, action, params = {}, label, facts, isHeld) =>
  new Promise((resolve) => {
    const event_id = isHeld ? page.id : uuid7();
    const time = now();
    const settle = (/** @type {Answer} */ answer) => {
      const result = { ...answer, event_id };
      if (answer.error) announce("error", result);
      resolve(result);
    };
    if (isRefused()) return settle({ status: "dropped" });
    setTimeout(resolve, navigator.onLine ? PATIENCE : 0, { event_id, status: "queued" });
    try {
      const text = stringify((hooks.plain || Object)(params));
      if (text[0] !== "{") throw "no object";
      const encode = (/** @type {boolean} */ isOver) =>
        stringify({
          event_id,
          action,
          params: { ...facts(isOver), ...parse(text) },
          label,
          time,
          visit: page.visit,
          page: page.id,
        });
      deliver(event_id, encode, settle, isHeld);
    } catch (error) {
      // The second file can write what JSON cannot.
      if (hooks.plain) settle({ status: "rejected", error: problem("invalid_params", error) });
      else hooks.loadMore().then(() => resolve(record(page, action, params, label, facts, isHeld)));
    }
  });
