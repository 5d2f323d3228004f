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
export const { parse, stringify } = JSON;
export const { now } = Date;
export const { random } = Math;
export const { get, getPrototypeOf } = Reflect;
export const { composedPath } = Event.prototype;
