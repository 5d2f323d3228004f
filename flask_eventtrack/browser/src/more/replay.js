import { now, parse, Promise, setTimeout } from "../natives.js";

const UNDER_WAY = 10000; // ms: younger events may be, from a page that has just been left
const PATIENCE = 5000; // ms: how long another tab is kept from doing the same
const LATER = 10000; // ms: what has come of age meanwhile may go with another post

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
 * Hands what earlier pages have kept to the core, which sends it after so many ms, if not before
 * with something else.
 * @param {import("./index.js").Core} core
 * @param {number} delay
 */
function hand({ api, unanswered }, delay) {
  const own = new Set(unanswered().map(({ id }) => id));
  const answers = keptIds().reverse().map((id) => {
    if (own.has(id) || !isOld(id)) return;
    const key = `eventtrack:${id}`;
    const [owner, ...rest] = (localStorage[key] || "").split("|");
    const encoded = rest.join("|");
    try {
      if (parse(encoded).event_id !== id) throw id;
    } catch (_) {
      delete localStorage[key]; // not ours
      return;
    }
    return new Promise((settle) =>
      // An event without an owner is not the present visitor's.
      unanswered().unshift({ id, owner: owner || "-", encoded, settle, isKept: true }),
    );
  });
  if (answers.some(Boolean)) setTimeout(api.flush, delay);
  return Promise.race([Promise.all(answers), new Promise((done) => setTimeout(done, PATIENCE))]);
}

/**
 * Sends what earlier pages have kept: now, when what is too young now has come of age, and when
 * the network returns.
 * @param {import("./index.js").Core} core
 */
export function replay(core) {
  const look = (/** @type {number} */ delay) => {
    const { locks } = navigator; // not on plain HTTP
    if (!locks) return hand(core, delay);
    const take = (/** @type {unknown} */ lock) => lock && hand(core, delay);
    locks.request("eventtrack", { ifAvailable: true }, take).catch(() => {});
  };
  look(0);
  setTimeout(look, UNDER_WAY, LATER);
  addEventListener("online", () => {
    look(0);
    setTimeout(core.api.flush, 0);
  });
}
