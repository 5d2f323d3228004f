/**
 * The page that is open. `id` is the event id of its visit, `visit` the server's token for it.
 * @typedef {{ id: string, visit?: string, url: string, referrer: string }} Page
 * @typedef {import("./record.js").Result} Result
 * @typedef {{ id: string, epoch: string, encoded: string }} Kept an encoded event, and its owner's epoch
 */

/**
 * What is to happen when the page is shown, hidden or left, and with `true` when another page opens.
 * @typedef {void | ((isOther: boolean) => void)} Turn
 */

/**
 * What the second file sets.
 * @typedef {object} Hooks
 * @property {(page: Page) => object} [visit] adds to a visit's params, when it is encoded
 * @property {(page: Page) => object} [event] adds to every other event's params
 * @property {() => void} [page] is told that another page is about to open
 * @property {(encoded: string, result: { status: string }) => void} [answer] sees each event's answer
 * @property {string} [chosen] the visitor's, made on this page: "full", "anonymous" or "none"
 * @property {(body: string) => Promise<Response> | false} [beacon] posts while the page is left
 * @property {boolean} [leaving] whether the page may be gone before an answer comes
 * @property {number} dropped events lost for want of room, which no post has reported yet
 * @property {EventTrack.Api["identify"]} [identify]
 * @property {EventTrack.Api["logout"]} [logout]
 * @property {EventTrack.Api["optIn"]} [optIn]
 * @property {EventTrack.Api["optOut"]} [optOut]
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
export const hooks = { dropped: 0 };
