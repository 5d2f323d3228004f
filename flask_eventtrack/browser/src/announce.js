import { CustomEvent } from "./natives.js";

/**
 * Tells the page, on document and window.
 * @param {"ready" | "error"} name
 * @param {unknown} detail
 */
export const announce = (name, detail) =>
  dispatchEvent.call(document, new CustomEvent(`eventtrack:${name}`, { bubbles: true, detail }));

/**
 * @param {string} code
 * @param {unknown} reason
 * @returns {import("./record.js").Problem}
 */
export const problem = (code, reason) => ({ code, message: `${reason}`, param: null });
