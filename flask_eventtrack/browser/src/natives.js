// A page may replace these later, well or badly: the ones that were there at load are used throughout.
export const {
  AbortSignal,
  CustomEvent,
  Promise,
  URL,
  clearTimeout,
  crypto,
  fetch,
  setTimeout,
} = window;
export const parse = JSON.parse;
export const stringify = JSON.stringify;
export const now = Date.now;
export const random = Math.random;
export const get = Reflect.get;
export const getPrototypeOf = Reflect.getPrototypeOf;
export const composedPath = Event.prototype.composedPath;
