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
    this.plain = body?.error?.message ?? this.message; // for people, without the code
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

// Returns the JSON of a reply, or a Blob where `bytes` are asked for. `json` is sent as the body; `told` gets the share
// of the body that has been sent.
export async function ask(path, options = {}) {
  const shown = token();
  try {
    return await once(path, options);
  } catch (error) {
    if (error.status !== 401) throw error;
    if (token() === shown) await askForToken(options.dialog);
    return ask(path, options);
  }
}

// What is no JSON comes from a proxy in between, which speaks HTML; the status has to do.
async function jsonOf(reply) {
  try {
    return JSON.parse(reply instanceof Blob ? await reply.text() : reply);
  } catch {
    return null;
  }
}

function once(path, { method = "GET", body = null, json = null, bytes = false, told = () => {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, addressOf(path));
    request.responseType = bytes ? "blob" : "text";
    if (token()) request.setRequestHeader("Authorization", `Bearer ${token()}`);
    if (json) request.setRequestHeader("Content-Type", "application/json");
    request.upload.onprogress = ({ loaded, total }) => told(total ? loaded / total : 0);
    request.upload.onload = () => told(1);
    request.onerror = () => reject(new Error("The server cannot be reached."));
    request.onload = async () => {
      const good = request.status >= 200 && request.status < 300;
      const reply = good && bytes ? request.response : await jsonOf(request.response);
      if (good && reply) resolve(reply);
      else reject(new Refused(request.status, reply));
    };
    request.send(json ? JSON.stringify(json) : body);
  });
}
