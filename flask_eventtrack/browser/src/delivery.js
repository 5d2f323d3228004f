import { announce } from "./announce.js";
import { clearTimeout, Promise, random, setTimeout, stringify } from "./natives.js";
import { byteLength, post } from "./post.js";

/**
 * @typedef {import("./record.js").Problem} Problem
 * @typedef {import("./record.js").Status} Status
 * @typedef {{ event: object, settle: (status: Status, error?: Problem | null) => void }} Item
 */

const MAX_WAITING = 1000; // events
const MAX_POST = 50; // events
const MAX_POST_BYTES = 60000;
const MANY = 20; // events that wait no longer
const SOON = 1000; // ms
const LONGEST_BACKOFF = 60; // s
const LONGEST_WAIT = 300; // s that the collector may ask for

/** @type {Item[]} */
const waiting = []; // oldest first
/** @type {Promise<unknown>} */
let sending; // over when no post is under way
let posts = 0; // under way
let failures = 0; // in a row
let pace = 0; // ms: the first event goes at once
let timer = 0; // 0: nothing is scheduled
let leaving = false;

/** @param {Item} item */
export function deliver(item) {
  waiting.push(item);
  dropSurplus();
  if (leaving) leave();
  else if (!failures) plan(pace);
}

function dropSurplus() {
  for (const { settle } of waiting.splice(0, waiting.length - MAX_WAITING)) settle("dropped");
}

/** @param {number} delay ms */
function plan(delay) {
  if (waiting.length >= MANY) schedule(0);
  else if (waiting.length && !timer) schedule(delay);
}

/** @param {number} delay ms */
function schedule(delay) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = 0;
    // One post at a time: a collector that hangs must not take the connections that the page needs.
    if (posts) schedule(SOON);
    else send();
  }, delay);
}

function send() {
  sending = Promise.all([sending, sendSome()]);
}

/** Sends one post's worth of events. */
async function sendSome() {
  const texts = [];
  let bytes = 0;
  for (const { event } of waiting) {
    const text = stringify(event);
    bytes += byteLength(text) + 1;
    if (texts.length && (texts.length === MAX_POST || bytes > MAX_POST_BYTES)) break;
    texts.push(text);
  }
  if (!texts.length) return;
  const items = waiting.splice(0, texts.length);
  pace = SOON;
  posts++;
  try {
    const results = await post(texts, leaving);
    items.forEach(({ settle }, i) => settle(results[i].status, results[i].error));
    failures = 0;
    plan(0); // what was too much for one post
  } catch (/** @type {any} */ { message, problem, wait = 0 }) {
    // A page that is left sees its posts fail although they arrive; it does not see another task.
    await new Promise((resolve) => setTimeout(resolve, 0));
    announce("error", { error: problem || { code: "no_answer", message, param: null } });
    waiting.unshift(...items);
    dropSurplus();
    const backoff = Math.min(2 ** failures++ * (1 + random()), LONGEST_BACKOFF);
    schedule(Math.max(backoff, Math.min(wait, LONGEST_WAIT)) * 1000);
  }
  posts--;
}

/** Sends everything at once: there may be no later. */
export function leave() {
  leaving = true;
  while (waiting.length) send();
  // The page's own listeners may still track something; a page that lives on gets back here.
  setTimeout(() => (leaving = false), 0);
}

/** Sends at once what waits for another attempt. */
export function retry() {
  schedule(0);
}

/** Sends what waits, and resolves when nothing waits any more or an attempt has failed. */
export async function flush() {
  do {
    if (!posts) send();
    await sending;
  } while (waiting.length && !failures);
}
