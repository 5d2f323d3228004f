import { uuid7 } from "./ids.js";
import { record } from "./record.js";
import { settings } from "./tag.js";

/**
 * The page that is open. `id` is the event id of its visit, `visit` the server's token for it,
 * `title` the one that it had when its visit was recorded.
 * @typedef {{ id: string, visit?: string, url: string, referrer: string, title?: string }} Page
 * @typedef {import("./record.js").Params} Params
 */

/** @type {Page} */
let current;
/** @type {Page} the last one whose visit was sent */
let visited;
/** @type {boolean} whether visits are sent without being asked for */
let automatic;

// A form or an image named "title" hides document.title: hence the template.
const readTitle = () => `${document.title}` || undefined;

/** @param {Params} [params] */
function visit(params) {
  const page = (visited = current);
  page.title = readTitle();
  const facts = {
    url: page.url,
    referrer: page.referrer,
    viewport: `${innerWidth}x${innerHeight}`,
    screen: `${screen.width}x${screen.height}`,
    language: navigator.language,
    timezone_offset: new Date().getTimezoneOffset(), // Intl would name the zone, but take 30 ms
  };
  // Frameworks set the title after they have navigated, so it is read when the event is sent.
  /** @param {Params} given */
  const complete = (given) => ({
    toJSON: () => ({ ...facts, title: page === current ? readTitle() : page.title, ...given }),
  });
  return record(page, "page.visit", params, undefined, complete, page.id);
}

function isErrorPage() {
  const [navigation] = /** @type {any[]} */ (performance.getEntriesByType("navigation"));
  return navigation && navigation.responseStatus >= 400;
}

export function openPage() {
  automatic = settings.page !== "off" && !isErrorPage();
  current = {
    id: uuid7(),
    visit: settings.visit,
    url: location.href,
    referrer: document.referrer,
  };
}

/** The page has come back out of the back/forward cache: another visit of the same. */
export function reopenPage() {
  current = { ...current, id: uuid7() };
  showPage();
}

/** Sends the visit of a page that can be seen: a tab opened in the background may never be. */
export function showPage() {
  if (automatic && visited !== current && document.visibilityState !== "hidden") visit();
}

/**
 * The app has shown another page without loading one.
 * @param {Params} [params]
 */
export function page(params) {
  current = { id: uuid7(), url: location.href, referrer: current.url };
  return visit(params);
}

/**
 * Something happened on this page.
 * @param {string} action
 * @param {Params} [params]
 * @param {string} [label]
 */
export function track(action, params, label) {
  return record(current, action, params, label, (given) => ({
    url: location.href,
    title: readTitle(),
    ...given,
  }));
}
