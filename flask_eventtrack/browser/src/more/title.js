import { ask } from "../ask.js";

/**
 * Tells the title that a page has in the end, if its visit told another.
 * @param {import("../core.js").Core} core
 */
export function title({ api, hooks, page, settings }) {
  if (settings.page) return; // no visit that it could belong to
  const read = hooks.visit;
  let told = ""; // by the visit, or later
  let seen = "";
  const look = () => (seen = ask("title"));

  hooks.visit = (page) => {
    told = look();
    return read?.(page) ?? {};
  };
  // It hears of a change when the task is over: a title that is set, and in the same task another
  // page opened, is that page's.
  new MutationObserver(look).observe(ask("head"), { childList: true, characterData: true, subtree: true });
  told = look();

  return (/** @type {boolean} */ isOther) => {
    if (!isOther) look();
    if (seen !== told) api.track("page.engage", { url: page().url, title: seen });
    told = look();
  };
}
