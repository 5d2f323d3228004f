import { announce, problem } from "./announce.js";
import { ask } from "./ask.js";
import { hooks } from "./core.js";
import { flush, leave, release, waiting } from "./delivery.js";
import { composedPath, getPrototypeOf, setTimeout } from "./natives.js";
import { current, open, page, showPage, track } from "./page.js";
import { importFile, place, settings } from "./tag.js";
import { isRefused } from "./visitor.js";

/** Runs functions that want `eventtrack`. @param {...EventTrack.Callback} callbacks */
const push = (...callbacks) => {
  for (const callback of callbacks) {
    try {
      callback(api);
    } catch (error) {
      // The page's own mistake: its error log should see it, the other functions should not.
      setTimeout(() => {
        throw error;
      });
    }
  }
};

/** @type {Promise<void>} */
let loading;

/** Loads the second file, if that has not been done. */
const loadMore = () =>
  (loading =
    loading ||
    importFile("more.js", DIGESTS.more)
      .then((more) => more.start(core))
      .catch(() => {
        hooks.plain = Object; // as it is
      }));

/**
 * Leaves a call to the second file.
 * @param {"identify" | "logout" | "optIn" | "optOut"} name
 * @returns {(value?: any) => Promise<EventTrack.Answer>}
 */
const later = (name) => (value) =>
  loadMore()
    .then(() => hooks.perform(name, value))
    .catch((error) => ({ error: problem("not_loaded", error) }));

const loadIfAllowed = () => isRefused() || loadMore();

/** @type {EventTrack.Api} */
const api = {
  track,
  page,
  flush,
  push,
  identify: later("identify"),
  logout: later("logout"),
  optIn: later("optIn"),
  optOut() {
    hooks.chosen = "none";
    return later("optOut")();
  },
};

/** @type {import("./core.js").Core["early"]} */
const early = [];

/** @type {import("./core.js").Core} */
const core = {
  api,
  early,
  importFile,
  place,
  settings,
  page: () => current,
  showVisit: showPage,
  letGo: release,
  leave,
  unanswered: () => waiting,
  hooks,
};

const start = () => {
  // An element or a frame named "eventtrack" is neither.
  const queue = Object(window.eventtrack);
  if (getPrototypeOf(queue) === getPrototypeOf(api) && queue.track) return; // a second tag
  window.eventtrack = api;

  open({ visit: settings.visit, url: location.href, referrer: ask("referrer") });
  showPage();
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    // It has come back out of the back/forward cache: another visit of the same page.
    open(current);
    showPage();
  });
  ["click", "auxclick", "submit"].forEach((kind) =>
    addEventListener(kind, (event) => early[9] || early.push([event, composedPath.call(event)]), true),
  );
  addEventListener.call(document, "visibilitychange", () => {
    if (ask("hidden")) leave();
    showPage();
  });
  addEventListener("DOMContentLoaded", loadIfAllowed);
  if (ask("readyState") !== "loading") loadIfAllowed();

  if (queue instanceof Array) {
    queue.push = /** @type {any} */ (push); // somebody may have kept the array
    push(...queue);
  }
  announce("ready", api);
};

hooks.loadMore = loadMore;
// A page that is prerendered and never shown has had no visitor: until then nothing happened.
if (place) {
  addEventListener.call(document, "prerenderingchange", start);
  if (!ask(/** @type {any} */ ("prerendering"))) start();
} else console.warn("eventtrack: no tag");
