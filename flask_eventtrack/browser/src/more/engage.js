import { ask } from "../ask.js";
import { listen } from "../quiet.js";

const LOOK = 5000; // ms between two looks at the clock
const SLEEP = 10000; // ms: more than that between two looks, a laptop was asleep

/**
 * How long the page has been visible and how far down it was seen: totals since it opened.
 * @param {import("../core.js").Core} core
 */
export function engage({ api, settings }) {
  if (settings.page) return; // no visit that it could belong to
  const root = ask("documentElement");
  let visible = 0; // ms
  let reported = 0;
  let depth = 0; // px, of a page that is `height` high
  let reportedDepth = 0;
  let height = NaN;
  let looked = 0; // when, in ms; 0 while the page is hidden

  function look() {
    const now = performance.now();
    if (looked) visible += Math.min(now - looked, SLEEP);
    looked = ask("hidden") ? 0 : now;
  }

  function measure() {
    height = root.scrollHeight;
    depth = Math.max(depth, scrollY + innerHeight);
  }

  function open() {
    visible = reported = 0;
    depth = reportedDepth = innerHeight;
  }

  open();
  look();
  setInterval(look, LOOK);
  new ResizeObserver(measure).observe(root);
  listen("scroll", measure);

  return (/** @type {boolean} */ isOther) => {
    look();
    if (visible >= reported + 1000 || depth > reportedDepth) {
      reported = visible;
      reportedDepth = depth;
      api.track("page.engage", {
        title: null, // the document's may be another page's by now
        visible_ms: Math.round(visible),
        scroll: Math.min(Math.round((depth / height) * 100), 100),
      });
    }
    if (isOther) open();
  };
}
