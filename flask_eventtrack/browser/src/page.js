import { ask } from "./ask.js";
import { hooks } from "./core.js";
import { release } from "./delivery.js";
import { uuid7 } from "./ids.js";
import { record } from "./record.js";
import { settings } from "./tag.js";
import { isRefused } from "./visitor.js";

/**
 * @typedef {import("./core.js").Page} Page
 * @typedef {import("./record.js").Params} Params
 */

/** @type {Page} */
export let current;
/** @type {Page} the last one whose visit was recorded */
let visited;

const readTitle = () => ask("title") || undefined;

/** @param {Params} [params] */
const visit = (params) => {
  const page = (visited = current);
  const title = readTitle();
  const facts = (/** @type {boolean} */ isOver) => ({
    url: page.url,
    referrer: page.referrer,
    title: isOver ? title : readTitle(),
    ...(hooks.visit && !isOver && hooks.visit(page)),
  });
  return record(page, "page.visit", params, undefined, facts, true);
};

/** Another page is open. @param {Omit<Page, "id">} page */
export const open = (page) => {
  release(true);
  if (hooks.page) hooks.page();
  current = { ...page, id: uuid7() };
};

const isErrorPage = () =>
  /** @type {any} */ (performance.getEntriesByType("navigation")[0] || 0).responseStatus > 399;

/** Records the visit of a page that can be seen: a tab opened in the background may never be. */
export const showPage = () => {
  const isNone = visited === current || settings.page || ask("hidden") || isErrorPage() || isRefused();
  if (!isNone) visit();
};

/**
 * The app has shown another page without loading one.
 * @param {Params} [params]
 */
export const page = (params) => {
  open({ url: location.href, referrer: current.url });
  return visit(params);
};

/**
 * Something happened on this page.
 * @param {string} action
 * @param {Params} [params]
 * @param {string} [label]
 */
export const track = (action, params, label) => {
  const here = { url: location.href, title: readTitle(), ...(hooks.event && hooks.event(current)) };
  return record(current, action, params, label, () => here);
};
