/**
 * The page that is open. `id` is the event id of its visit, `visit` the server's token for it.
 * @typedef {{ id: string, visit?: string, url: string, referrer: string }} Page
 * @typedef {import("./record.js").Result} Result
 * @typedef {{ id: string, owner: string, encoded: string }} Kept an encoded event, and whose it is
 */

/**
 * What is to happen when the page is shown, hidden or left, and with `true` when another page opens.
 * @typedef {void | ((isOther: boolean) => void)} Turn
 */

/**
 * What the second file sets, and for `loadMore`, which loads it.
 * @typedef {object} Hooks
 * @property {(page: Page) => object} [visit] adds to a visit's params, when it is encoded
 * @property {(page: Page) => object} [event] adds to every other event's params
 * @property {() => void} [page] is told that another page is about to open
 * @property {(encoded: string, result: import("./record.js").Answer) => void} [answer] sees each event's answer
 * @property {(params: unknown) => unknown} [plain] what JSON can write of an event's params
 * @property {(item: import("./delivery.js").Item, isAnswered?: 1) => void} [keep] keeps an event until its answer
 * @property {string} [chosen] the visitor's, made on this page: "full", "anonymous" or "none"
 * @property {(body: string) => Promise<Response> | false} [beacon] posts while the page is left
 * @property {0 | 1} [leaving] whether the page may be gone before an answer comes
 * @property {() => Promise<void>} loadMore
 * @property {number} dropped events lost for want of room, which no post has reported yet
 * @property {(name: string, value?: any) => Promise<EventTrack.Answer>} perform makes a call of the API
 */

/**
 * What the second file is given.
 * @typedef {object} Core
 * @property {EventTrack.Api} api `window.eventtrack`
 * @property {[Event, EventTarget[]][]} early clicks and submits so far, and what they went through
 * @property {(name: string, integrity: string) => Promise<any>} importFile imports another file
 * @property {URL} place of the first file: posts go to its folder's parent
 * @property {DOMStringMap} settings the tag's `data-*`
 * @property {() => Page} page the page that is open now
 * @property {() => void} showVisit counts the page's visit, if that has not been done and may be
 * @property {() => void} letGo the visit of the open page is final: it need not wait
 * @property {() => void} leave sends everything at once
 * @property {() => import("./delivery.js").Item[]} unanswered what has no answer; events of earlier pages may be added
 * @property {Hooks} hooks
 */

/** @type {Hooks} */
export const hooks = /** @type {any} */ ({ dropped: 0 });
