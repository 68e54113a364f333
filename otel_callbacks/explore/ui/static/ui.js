// Makes a page follow its traces, show another span without a new page, and listen to keys. The page works without it.
"use strict";

const EVERY = 2000; // milliseconds between two questions whether anything has changed
const main = document.getElementById("main");
const status = document.getElementById("announce");
let asking = false;

// Puts the parts of another version of this page in place of those shown; keeps focus, scrolling and what is open.
function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement && document.activeElement.id;
  let changed = false;
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = next.getElementById(part.id);
    if (!other) return false;
    if (other.innerHTML === part.innerHTML) continue;
    changed = true;
    const open = [...part.querySelectorAll("details[open]")].map((each) => each.id);
    const top = part.scrollTop;
    part.replaceChildren(...other.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    part.scrollTop = top;
  }
  if (!document.querySelector("[data-live]")) return false;
  if (focused && document.activeElement.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  const live = next.getElementById("live");
  if (live) document.getElementById("live")?.setAttribute("href", live.getAttribute("href"));
  document.title = next.title;
  if ("version" in next.body.dataset) document.body.dataset.version = next.body.dataset.version;
  return changed;
}

async function load(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (answer.status >= 500 || answer.status === 403) throw new Error(String(answer.status));
  return answer.text();
}

// Asks whether anything has changed, and then for this page; nothing happens while the page is not looked at.
async function follow() {
  if (asking || document.hidden || !("version" in document.body.dataset) && !document.querySelector(".empty")) return;
  asking = true;
  const mark = document.getElementById("live");
  try {
    const answer = await fetch("live", { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const { version } = await answer.json();
    mark?.classList.remove("is-lost");
    if (version !== (document.body.dataset.version || "")) {
      const next = await load(location.href);
      if (show(next)) {
        const said = new DOMParser().parseFromString(next, "text/html").getElementById("announce");
        status.textContent = said ? said.dataset.say : "";
      }
      document.body.dataset.version = version;
    }
  } catch {
    mark?.classList.add("is-lost"); // the application has ended, or the page was stopped
  } finally {
    asking = false;
  }
}

// Follows a link within the page: another span of the same trace.
async function go(address, { push = true } = {}) {
  try {
    show(await load(address));
    if (push) history.pushState(null, "", address);
    document.getElementById("panel")?.scrollTo(0, 0);
    const name = document.querySelector("#panel h2");
    if (name) status.textContent = name.textContent;
  } catch {
    location.href = address;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-soft]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href);
});
addEventListener("popstate", () => go(location.href, { push: false }));

// The arrow keys, and j and k, go from row to row; / goes to the filters, Escape from a span to the whole trace.
document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest("input, select, textarea, pre")) return;
  const rows = [...main.querySelectorAll("a[data-row]")];
  const at = rows.indexOf(document.activeElement);
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (step && rows.length && (at >= 0 || event.key.length === 1)) {
    event.preventDefault();
    rows[Math.min(rows.length - 1, Math.max(0, at + step))].focus();
  } else if (event.key === "/" && document.getElementById("filter-text")) {
    event.preventDefault();
    document.getElementById("filter-text").focus();
  } else if (event.key === "Escape") {
    main.querySelector(".panel-head a[data-soft]")?.click();
  }
});

setInterval(follow, EVERY);
document.addEventListener("visibilitychange", follow);
