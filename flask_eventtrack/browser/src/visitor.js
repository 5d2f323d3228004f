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

let owner = "";

/** The part of an owner that changes at each log-in and log-out. @param {string} owner */
export const epochOf = (owner) => owner.slice(0, 8);

/** Whose events these are: the CSRF token, or its epoch once the cookie is gone. "": not known yet. */
export const readOwner = () =>
  // No other host can have set the first one. The server sets the other where it cannot set that.
  (owner =
    readCookie("__Host-eventtrack_csrf") || readCookie("eventtrack_csrf") || epochOf(owner));

const { globalPrivacyControl, doNotTrack } = /** @type {any} */ (navigator);
const signal = globalPrivacyControl || doNotTrack > 0 ? settings.gpc : "ignore";

/** Whether the visitor's policy forbids events. */
export const isRefused = () =>
  !/^(full|ignore)$/.test(
    /** @type {string} */ (hooks.chosen || readCookie("eventtrack_consent") || settings.policy || signal),
  );
