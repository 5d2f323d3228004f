import { now, parse, Promise, setTimeout } from "../natives.js";

const UNDER_WAY = 10000; // ms: younger events may be, from a page that has just been left
const PATIENCE = 5000; // ms: how long another tab is kept from doing the same
const LATEST = 20000; // ms: when nothing else was sent that they could have gone with

/** The ids of all kept events, oldest first. */
export function keptIds() {
  try {
    const keys = Object.keys(localStorage).filter((key) => /^eventtrack:.{36}$/.test(key));
    return keys.sort().map((key) => key.slice(11));
  } catch (_) {
    return []; // storage is forbidden
  }
}

/** @param {string} id */
const isOld = (id) => parseInt(id.replace("-", ""), 16) < now() - UNDER_WAY;

/**
 * Hands what earlier pages have kept to the core.
 * @param {import("./index.js").Core} core
 */
function hand({ waiting }) {
  const own = new Set(waiting().map(({ id }) => id));
  const answers = keptIds().map((id) => {
    if (own.has(id) || !isOld(id)) return;
    const key = `eventtrack:${id}`;
    const [epoch, ...rest] = localStorage[key].split("|");
    const text = rest.join("|");
    try {
      if (parse(text).event_id !== id) throw id;
    } catch (_) {
      delete localStorage[key]; // not ours
      return;
    }
    // Whoever had no epoch is not who is here now.
    return new Promise((settle) => waiting().unshift({ id, epoch: epoch || "-", text, settle, isKept: true }));
  });
  return Promise.race([Promise.all(answers), new Promise((done) => setTimeout(done, PATIENCE))]);
}

/**
 * Sends what earlier pages have kept: now, when what is too young now has come of age, and when
 * the network returns.
 * @param {import("./index.js").Core} core
 */
export function replay(core) {
  const { flush } = core.api;
  const look = () => {
    const { locks } = navigator; // not on plain HTTP
    if (!locks) return hand(core);
    const take = (/** @type {unknown} */ lock) => lock && hand(core);
    locks.request("eventtrack", { ifAvailable: true }, take).catch(() => {});
  };
  look();
  setTimeout(flush, 0);
  setTimeout(look, UNDER_WAY);
  setTimeout(flush, LATEST);
  addEventListener("online", () => {
    look();
    setTimeout(flush, 0);
  });
}
