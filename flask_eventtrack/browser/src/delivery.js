import { announce, problem } from "./announce.js";
import { hooks } from "./core.js";
import { clearTimeout, now, Promise, random, setTimeout } from "./natives.js";
import { join, post } from "./post.js";
import { epochOf, isRefused, readOwner } from "./visitor.js";

/**
 * @typedef {import("./record.js").Answer} Answer
 * @typedef {object} Item
 * @property {string} id
 * @property {string} owner as the CSRF token says
 * @property {string} encoded the event
 * @property {(answer: Answer) => void} settle
 * @property {0 | 1} [isSent] whether a post with it is under way
 * @property {boolean} [isKept] whether localStorage has it
 */

const MAX_WAITING = 1000; // events
const MAX_WAITING_SIZE = 512000; // characters
const MAX_POST = 50; // events
const MAX_POST_SIZE = 20000; // characters: a page that is left may have 64 KiB under way
const MANY = 20; // events that wait no longer
const SOON = 2000; // ms
const HOLD = 1000; // ms
const KEEP = 500; // ms: events answered by then skip localStorage, whose first use is slow
const LONGEST_PAUSE = 300; // s

/** @type {Item[]} */
export let waiting = []; // for an answer, oldest first
/** @type {((isOver?: any) => void) | 0 | undefined} */
let held; // puts the open page's visit on its way, and with it what was tracked meanwhile
/** @type {Promise<unknown>} */
let sending; // over when no post is under way
let posts = 0; // under way
let failures = 0; // in a row
let quiet = 0; // the time until which the collector wants no posts
let pace = 0; // ms: the first event goes at once
let timer = 0; // 0: nothing is scheduled

/**
 * @param {string} id
 * @param {(isOver: boolean) => string} encode
 * @param {Item["settle"]} settle
 * @param {boolean} [isHeld] goes a little later or when released, and is encoded then
 */
export const deliver = (id, encode, settle, isHeld) => {
  const owner = readOwner();
  /** @param {any} [isOver] */
  const enqueue = (isOver) => {
    waiting.push({ id, owner, encoded: encode(isOver), settle });
    setTimeout(keepWaiting, KEEP);
    while (waiting.length > MAX_WAITING || join(waiting).length > MAX_WAITING_SIZE) {
      hooks.dropped++;
      answer(waiting[0], { status: "dropped" });
    }
    if (hooks.leaving) leave();
    else plan(pace);
  };
  if (isHeld) {
    held = enqueue;
    setTimeout(() => held === enqueue && release(), HOLD);
  } else enqueue();
};

/**
 * Lets go what is held back.
 * @param {any} [isOver] whether the page says nothing about it any more
 */
export const release = (isOver) => {
  const enqueue = held;
  held = 0;
  if (enqueue) enqueue(isOver);
};

const keepWaiting = () => {
  for (const item of waiting) if (hooks.keep) hooks.keep(item);
};

/**
 * @param {Item} item
 * @param {Answer} result
 */
const answer = (item, result) => {
  waiting = waiting.filter((other) => other !== item);
  if (item.isKept) /** @type {Required<typeof hooks>} */ (hooks).keep(item, 1);
  item.settle(result);
  if (hooks.answer) hooks.answer(item.encoded, result);
};

/** @param {number} delay ms */
const plan = (delay) => {
  if (failures || held) return; // another attempt is scheduled, or the visit is about to go
  if (waiting.length >= MANY) schedule(0);
  else if (waiting.length && !timer) schedule(delay);
};

/** @param {number} delay ms */
const schedule = (delay) => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = 0;
    // One post at a time: a collector that hangs must not take the connections that the page needs.
    if (!posts) send();
  }, delay);
};

const send = () => {
  sending = Promise.all([sending, sendSome()]);
};

const isUnsent = (/** @type {Item} */ item) => !item.isSent;

/** Sends one post's worth of events. */
const sendSome = async () => {
  if (isRefused()) return waiting.forEach((item) => answer(item, { status: "dropped" }));
  /** @type {Item[]} */
  const items = [];
  let size = 0;
  for (const item of waiting.filter(isUnsent)) {
    size += item.encoded.length;
    const isFull = items[MAX_POST - 1] || size > MAX_POST_SIZE;
    if (items[0] && (isFull || epochOf(item.owner) !== epochOf(items[0].owner))) break;
    item.isSent = 1;
    items.push(item);
  }
  if (!items[0]) return;
  pace = SOON;
  posts++;
  try {
    const results = await post(items);
    items.forEach((item, i) => answer(item, results[i]));
    failures = 0;
    plan(pace); // what was too much for one post, or came meanwhile
  } catch (/** @type {any} */ failure) {
    for (const item of items) item.isSent = 0;
    announce("error", { error: failure.error || problem("no_answer", failure) });
    const pause = Math.min(failure.wait || 2 ** failures, LONGEST_PAUSE) * 1000;
    if (failure.wait) quiet = now() + pause;
    failures++;
    schedule(pause * (1 + random()));
  }
  posts--;
};

/** Sends everything at once: there may be no later. */
export const leave = () => {
  hooks.leaving = 1;
  release();
  keepWaiting();
  while (now() >= quiet && waiting.some(isUnsent)) send();
  // The page's own listeners may still track something; a page that lives on gets back here.
  setTimeout(() => (hooks.leaving = 0));
};

/** Sends what waits, and resolves when nothing waits any more or an attempt has failed. */
export const flush = async () => {
  release();
  do {
    if (!posts && now() >= quiet) send();
    await sending;
  } while (waiting.length && !failures);
};
