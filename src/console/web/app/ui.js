// The one door to the view library: everything else imports from here, never from ../vendor.
import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Fragment, cloneElement, createContext, h, render } from "../vendor/preact.js";
export { useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/preact-hooks.js";
// A component that reads a signal's .value while rendering is rendered again when it changes.
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "../vendor/signals.js";

/** Tagged template for markup. Newlines between tags vanish: text that needs them is passed as a string. */
export const html = htm.bind(h);

/** Joins class names, leaving out what is falsy. */
export const cls = (...names) => names.filter(Boolean).join(" ");
