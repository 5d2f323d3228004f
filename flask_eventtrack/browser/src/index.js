import { announce } from "./announce.js";
import { flush, leave, retry } from "./delivery.js";
import { setTimeout } from "./natives.js";
import { openPage, page, reopenPage, showPage, track } from "./page.js";
import { collector } from "./tag.js";

/** Runs functions that want `eventtrack`. @param {...((eventtrack: object) => void)} callbacks */
function push(...callbacks) {
  for (const callback of callbacks) {
    try {
      if (typeof callback === "function") callback(api);
    } catch (error) {
      // The page's own mistake: its error log should see it, the other functions should not.
      setTimeout(() => {
        throw error;
      }, 0);
    }
  }
}

const api = { track, page, flush, push };

function start() {
  const host = /** @type {{ eventtrack?: any }} */ (window);
  const queue = host.eventtrack;
  if (queue && queue.track) return; // a second tag
  host.eventtrack = api;

  openPage();
  showPage();
  addEventListener("pageshow", ({ persisted }) => persisted && reopenPage());
  addEventListener("pagehide", leave);
  addEventListener("online", retry);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") leave();
    else showPage();
  });

  if (Array.isArray(queue)) {
    queue.push = /** @type {any} */ (push); // somebody may have kept the array
    push(...queue);
  }
  announce("ready", api);
}

// A page that is prerendered and never shown has had no visitor: until then nothing happened.
if (collector) {
  if (/** @type {any} */ (document).prerendering) {
    document.addEventListener("prerenderingchange", start, { once: true });
  } else start();
}
