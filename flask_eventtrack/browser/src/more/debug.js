import { parse } from "../natives.js";

/**
 * Logs each event with its answer, and warns of errors.
 * @param {import("./index.js").Core} core
 */
export function debug({ hooks, settings }) {
  if (settings.debug === undefined) return;
  hooks.answer = (encoded, { status }) => {
    const { action, label, params } = parse(encoded);
    console.log("eventtrack:", status, action, label || "", params);
  };
  addEventListener("eventtrack:error", ({ detail: { error, event_id = "" } }) => {
    console.warn("eventtrack:", error.code, error.message, event_id);
  });
}
