import { announce, problem } from "./announce.js";
import { hooks } from "./core.js";
import { flush, leave, release, waiting } from "./delivery.js";
import { composedPath, setTimeout } from "./natives.js";
import { current, open, page, showPage, track } from "./page.js";
import { collector, settings, src } from "./tag.js";
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
const load = () =>
  (loading =
    loading ||
    import(/** @type {string} */ ("./more.js"))
      .then((more) => more.start(core))
      .catch(() => {})
      .then(release));

/**
 * Leaves a call to the second file.
 * @param {"identify" | "logout" | "optIn" | "optOut"} name
 * @returns {(value?: any) => Promise<EventTrack.Answer>}
 */
const later = (name) => (value) =>
  load()
    .then(() => /** @type {any} */ (hooks[name])(value))
    .catch((error) => ({ error: problem("not_loaded", error) }));

/** Loads the second file when the page has nothing else to do. */
const loadWhenIdle = () => {
  const idle = window.requestIdleCallback || setTimeout;
  const plan = () => idle(() => isRefused() || load(), /** @type {any} */ ({ timeout: 1000 }));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", plan);
  else plan();
};

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
    flush();
    return later("optOut")();
  },
};

/** @type {import("./core.js").Core["early"]} */
const early = [];

/** @type {import("./core.js").Core} */
const core = {
  api,
  early,
  collector,
  settings,
  page: () => current,
  show: showPage,
  release,
  leave,
  waiting: () => waiting,
  hooks,
};

const start = () => {
  const queue = /** @type {any} */ (window.eventtrack);
  if ((queue || 0).track) return; // a second tag
  window.eventtrack = api;

  open({ visit: settings.visit, url: location.href, referrer: document.referrer });
  showPage();
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    // It has come back out of the back/forward cache: another visit of the same page.
    open(current);
    showPage();
  });
  for (const kind of ["click", "auxclick", "submit"]) {
    addEventListener(kind, (event) => early[9] || early.push([event, composedPath.call(event)]), true);
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leave();
    else showPage();
  });
  loadWhenIdle();

  if (Array.isArray(queue)) {
    queue.push = /** @type {any} */ (push); // somebody may have kept the array
    push(...queue);
  }
  announce("ready", api);
};

// A page that is prerendered and never shown has had no visitor: until then nothing happened.
if (src) {
  document.addEventListener("prerenderingchange", start);
  if (!(/** @type {any} */ (document).prerendering)) start();
}
