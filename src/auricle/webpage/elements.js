// SPDX-License-Identifier: Apache-2.0
// Small parts of the studio's page.

export const $ = (id) => document.getElementById(id);

// An element with properties, attributes (of names with a hyphen, and role) and children.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// The mark of a class, in its colour and pattern.
export function dot({ hue, pattern }) {
  const made = element("i", { className: "dot" });
  made.dataset.pattern = pattern;
  made.style.setProperty("--hue", hue);
  return made;
}

export const MARKS = { yes: "✓", no: "✕", unsure: "?" };
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// Calls at most once in a while, the last time too.
export function soon(action, ms) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      action();
    }, ms);
  };
}
