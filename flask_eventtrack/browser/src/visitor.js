import { ask } from "./ask.js";
import { hooks } from "./core.js";
import { settings } from "./tag.js";

/** @param {string} name */
const readCookie = (name) => {
  try {
    return `; ${ask("cookie")}`.split(`; ${name}=`)[1].split(";")[0];
  } catch (_) {
    return ""; // there is none, and a sandboxed frame has no cookies at all
  }
};

// No other host can have set the first one. The server sets the other where it cannot set that.
export const csrfToken = () =>
  readCookie("__Host-eventtrack_csrf") || readCookie("eventtrack_csrf");

let epoch = "";

/** Whose events these are: another value after each log-in and log-out. "": not known yet. */
export const readEpoch = () => (epoch = csrfToken().split(".")[0] || epoch);

const { globalPrivacyControl, doNotTrack } = /** @type {any} */ (navigator);
const signal = globalPrivacyControl || doNotTrack > 0 ? settings.gpc : "ignore";

/** Whether the visitor's policy forbids events. */
export const isRefused = () =>
  !/^(full|ignore)$/.test(
    /** @type {string} */ (hooks.chosen || readCookie("eventtrack_consent") || settings.policy || signal),
  );
