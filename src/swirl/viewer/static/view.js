// What the viewer's pages do beyond being pages: keys, copying, and following a run. All links and forms work without it.
"use strict";

const byId = (id) => document.getElementById(id);
const all = (what) => [...document.querySelectorAll(what)];
const say = (text) => { const status = byId("status"); if (status) status.textContent = text; };

// Copying: the same view as JSON, or the lines of Python that load it.

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say(`The browser did not allow copying; ${what} is behind the link beside the button`);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copyJson) {
    const answer = await fetch(button.dataset.copyJson);
    if (answer.ok) await copy(await answer.text(), "JSON");
    else say("This view could not be fetched as JSON");
  } else if (button.dataset.copy) {
    await copy(byId(button.dataset.copy).textContent, "Python");
  } else if ("keys" in button.dataset) {
    byId("keys").showModal();
  }
});

// Keys: rows and steps are whatever is marked data-row; data-next, data-previous and data-up are links.

let leading = false;

function move(by) {
  const rows = all("[data-row]");
  if (!rows.length) return;
  const here = rows.indexOf(document.activeElement.closest?.("[data-row]"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, here + by))];
  (next.matches("a, [tabindex]") ? next : next.querySelector("a, summary") ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

const follow = (what) => document.querySelector(what)?.click();

const keys = {
  j: () => move(1),
  k: () => move(-1),
  n: () => follow("[data-next]"),
  p: () => follow("[data-previous]"),
  u: () => follow("[data-up]"),
  "/": () => { const box = document.querySelector("input[type=search]"); box?.focus(); box?.select(); },
  "?": () => byId("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, dialog[open]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (leading) {
    leading = false;
    follow(`nav a[data-key="${CSS.escape(event.key)}"]`);
  } else if (event.key === "g") {
    leading = true;
    setTimeout(() => { leading = false; }, 1500);
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

// Menus of a filter act at once; the button is for those who use no script.

document.addEventListener("change", (event) => {
  if (event.target.matches("form[data-filters] select")) event.target.form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  // An address names what was asked for, and nothing that was not.
  if (event.target.matches("form[data-filters]"))
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});

// Following: while the page is looked at, it is asked for again, and shown where it has changed.

let seen = null;

const busy = () => {
  const active = document.activeElement;
  return document.hidden || active?.matches("input, select, textarea") || byId("keys")?.open ||
    String(getSelection()) !== "";
};

function place() {
  // What has the focus, and what stands open, stay so.
  const main = byId("main");
  const focusable = [...main.querySelectorAll("a, button, summary, [tabindex]")];
  return {
    focus: focusable.indexOf(document.activeElement),
    open: [...main.querySelectorAll("details")].map((each) => each.open),
    across: [...main.querySelectorAll(".wide")].map((each) => each.scrollLeft),
  };
}

function restore(was) {
  const main = byId("main");
  main.querySelectorAll("details").forEach((each, i) => { if (i in was.open) each.open = was.open[i]; });
  main.querySelectorAll(".wide").forEach((each, i) => { each.scrollLeft = was.across[i] ?? 0; });
  if (was.focus >= 0) main.querySelectorAll("a, button, summary, [tabindex]")[was.focus]?.focus({ preventScroll: true });
}

async function look() {
  if (busy()) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: seen ? { "If-None-Match": seen } : {} });
    if (answer.status === 304) return;
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    const first = seen === null;
    seen = answer.headers.get("ETag");
    if (!fresh || busy() || fresh.innerHTML === byId("main").innerHTML) return;
    const was = place();
    byId("main").replaceChildren(...fresh.childNodes);
    restore(was);
    if (!first) say("Updated");
    document.dispatchEvent(new Event("swirl:updated"));
  } catch {
    say("The viewer has ended: start `swirl view` again");
  }
}

if (document.querySelector("main[data-live]")) setInterval(look, 2000);
