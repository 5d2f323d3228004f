import { parse } from "../natives.js";

/**
 * Logs what the server has recorded with the page and each event with its answer, and warns of each
 * mistake once.
 * @param {import("../core.js").Core} core
 */
export function debug({ hooks, settings }) {
  if (settings.debug === undefined) return;
  const said = new Set();
  const warn = (/** @type {import("../record.js").Problem} */ { code, message }, about = "") => {
    if (!said.has(message)) console.warn("eventtrack:", code, message, about);
    said.add(message);
  };
  const [page] = performance.getEntriesByType("navigation");
  for (const { name, description } of /** @type {any} */ (page)?.serverTiming || [])
    if (name === "eventtrack") console.log("eventtrack:", decodeURIComponent(description));
  hooks.answer = (encoded, { status, error }) => {
    const { action, label, params } = parse(encoded);
    console.log("eventtrack:", status, action, label || "", params);
    if (error) warn(error, action); // of an event that an earlier page has kept
  };
  addEventListener("eventtrack:error", ({ detail: { error, event_id } }) => warn(error, event_id));
}
