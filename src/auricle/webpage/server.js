// SPDX-License-Identifier: Apache-2.0
// Requests of the page. Addresses are those beside the page, so that a proxy may serve it under any path; the token is
// asked for once and kept until the tab is closed.

const KEPT = "auricle.token";

export const addressOf = (path) => new URL(path, document.baseURI).href;

// The token comes behind the # of the address, which browsers keep to themselves.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEPT, given);
  history.replaceState(null, "", location.pathname + location.search);
}

export const token = () => sessionStorage.getItem(KEPT);

export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ? `${body.error.message} (${body.error.code})` : `The server answered with status ${status}.`);
    this.status = status;
  }
}

// Asks for the token if it is missing or wrong; everything that needs it meanwhile waits for the same answer.
let asking = null;
function askForToken(dialog) {
  asking ??= new Promise((resolve, reject) => {
    const field = dialog.querySelector("input");
    const decide = (event) => {
      event?.preventDefault();
      asking = null;
      dialog.close();
      if (!field.value) return reject(new Error("This server needs a token."));
      sessionStorage.setItem(KEPT, field.value.trim());
      field.value = "";
      resolve();
    };
    dialog.querySelector("button").onclick = decide;
    field.onkeydown = (event) => event.key === "Enter" && decide(event);
    dialog.oncancel = () => {
      field.value = "";
      decide();
    };
    dialog.showModal();
  });
  return asking;
}

// Returns the JSON of a reply. `told` gets the share of the body that has been sent.
export async function ask(path, { method = "GET", body = null, told = () => {}, dialog } = {}) {
  const shown = token();
  try {
    return await once(path, method, body, told);
  } catch (error) {
    if (error.status !== 401) throw error;
    if (token() === shown) await askForToken(dialog);
    return ask(path, { method, body, told, dialog });
  }
}

function once(path, method, body, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, addressOf(path));
    if (token()) request.setRequestHeader("Authorization", `Bearer ${token()}`);
    request.upload.onprogress = ({ loaded, total }) => told(total ? loaded / total : 0);
    request.upload.onload = () => told(1);
    request.onerror = () => reject(new Error("The server cannot be reached."));
    request.onload = () => {
      let reply = null;
      try {
        reply = JSON.parse(request.responseText);
      } catch {
        // a proxy in between speaks HTML; the status has to do
      }
      if (request.status === 200 && reply) resolve(reply);
      else reject(new Refused(request.status, reply));
    };
    request.send(body);
  });
}
