// The second file's alone: what natives.js names, the core has to carry.
export const { TextEncoder } = window;
