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

// What an address names stands open.

function unfold() {
  const named = byId(decodeURIComponent(location.hash.slice(1)));
  const folded = named?.closest("details");
  if (folded && !folded.open) { folded.open = true; named.scrollIntoView(); }
}

addEventListener("hashchange", unfold);
unfold();

// Following: while the page is looked at, it is asked for again, and shown where it has changed. What is read stays where it is.

const FOCUSABLE = "a, button, summary, [tabindex]";
const LASTING = "h2[id], h3[id], section[id], details[id], [data-row]";
let seen = null;
let shown = byId("main").innerHTML;

const busy = () => {
  const active = document.activeElement;
  return document.hidden || active?.matches("input, select, textarea") || byId("keys")?.open ||
    String(getSelection()) !== "";
};

function named(elements, name) {
  // Elements by names that hold while a page grows; those that would be called alike are numbered.
  const found = new Map();
  for (const each of elements) {
    const own = each.id || `${each.parentElement.closest("[id]")?.id} ${name(each)}`;
    let key = own;
    for (let i = 2; found.has(key); i++) key = `${own} ${i}`;
    found.set(key, each);
  }
  return found;
}

const folds = () => named(all("#main details"), (each) => each.querySelector("summary").textContent);
const marks = () => named(all(`#main :is(${LASTING})`), (each) => each.querySelector("a")?.getAttribute("href") ?? each.textContent.slice(0, 80));
const wides = () => named(all("#main .wide"), (each) => each.getAttribute("aria-label"));
const focusable = () => named(all(`#main :is(${FOCUSABLE})`), (each) => each.getAttribute("href") ?? each.textContent);
const keyOf = (elements, sought) => [...elements].find(([, each]) => each === sought)?.[0];

function place() {
  // What has the focus, what stands open, and where the first thing that is seen stands.
  const seenFirst = scrollY > 0 ? [...marks()].find(([, each]) => each.getBoundingClientRect().top >= 0) : undefined;
  return {
    focus: keyOf(focusable(), document.activeElement),
    open: new Map([...folds()].map(([key, each]) => [key, each.open])),
    across: new Map([...wides()].map(([key, each]) => [key, each.scrollLeft])),
    mark: seenFirst?.[0],
    top: seenFirst?.[1].getBoundingClientRect().top,
  };
}

function restore(was) {
  for (const [key, each] of folds()) if (was.open.has(key)) each.open = was.open.get(key);
  for (const [key, each] of wides()) each.scrollLeft = was.across.get(key) ?? 0;
  if (was.focus !== undefined) focusable().get(was.focus)?.focus({ preventScroll: true });
  const mark = was.mark === undefined ? undefined : marks().get(was.mark);
  if (mark) scrollBy({ top: mark.getBoundingClientRect().top - was.top, behavior: "instant" });
}

async function look() {
  if (busy()) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: seen ? { "If-None-Match": seen } : {} });
    if (answer.status === 304 || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (!fresh || busy()) return;
    seen = answer.headers.get("ETag");
    if (fresh.innerHTML === shown) return;
    shown = fresh.innerHTML;
    const was = place();
    byId("main").replaceChildren(...fresh.childNodes);
    restore(was);
    say("Updated");
    document.dispatchEvent(new Event("swirl:updated"));
  } catch {
    say("The viewer has ended: start `swirl view` again");
  }
}

if (document.querySelector("main[data-live]")) setInterval(look, 2000);
