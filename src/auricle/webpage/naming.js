// SPDX-License-Identifier: Apache-2.0
// The dialog that asks for a class: typed, with completion, or picked from those that are there.

import { $, dot, element } from "./elements.js";

const MOST = 8;

const wanted = (names, text) => {
  const word = text.trim().toLowerCase();
  const found = names.filter((name) => name.toLowerCase().includes(word));
  return found.sort((a, b) => Number(b.toLowerCase().startsWith(word)) - Number(a.toLowerCase().startsWith(word))).slice(0, MOST);
};

// Returns a promise of the name, "" to delete, or null where it was cancelled.
export function askForName({ title, hint = "", names, given = "", looks, removable = false }) {
  const dialog = $("naming"), field = $("naming-name"), list = $("naming-list");
  let place = -1, shown = [];
  $("naming-title").textContent = title;
  $("naming-hint").textContent = hint;
  $("naming-delete").hidden = !removable;
  field.value = given;

  function fill(all = false) {
    shown = all ? names.slice(0, MOST) : wanted(names, field.value);
    place = -1;
    list.hidden = shown.length === 0;
    field.setAttribute("aria-expanded", String(shown.length > 0));
    field.removeAttribute("aria-activedescendant");
    list.replaceChildren(...shown.map((name, i) => {
      const option = element("li", { id: `naming-${i}`, role: "option", "aria-selected": "false" }, dot(looks.of(name)), name);
      option.addEventListener("click", () => {
        field.value = name;
        $("naming-form").requestSubmit();
      });
      return option;
    }));
  }

  function highlight(next) {
    place = (next + shown.length) % shown.length;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === place)));
    field.setAttribute("aria-activedescendant", `naming-${place}`);
    field.value = shown[place];
  }

  return new Promise((resolve) => {
    let answer = null;
    field.oninput = () => fill();
    field.onkeydown = (press) => {
      if ((press.key === "ArrowDown" || press.key === "ArrowUp") && shown.length) {
        highlight(place + (press.key === "ArrowDown" ? 1 : place < 0 ? 0 : -1));
        press.preventDefault();
      } else if (press.key === "Enter") {
        press.preventDefault();
        $("naming-form").requestSubmit();
      }
    };
    $("naming-form").onsubmit = (event) => {
      event.preventDefault();
      answer = field.value.trim();
      if (answer) dialog.close();
    };
    $("naming-cancel").onclick = () => dialog.close();
    $("naming-delete").onclick = () => {
      answer = "";
      dialog.close();
    };
    dialog.onclose = () => resolve(answer === null ? null : answer);
    fill(true);
    dialog.showModal();
    field.focus();
    field.select();
  });
}
