// Keys: / searches, j and k go through rows, Enter opens one, ? tells them. Everything else works without this file.
"use strict";
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
  const rows = [...document.querySelectorAll("table[data-rows] tbody tr")];
  const at = rows.findIndex((r) => r.classList.contains("at"));
  const go = (i) => {
    if (at >= 0) rows[at].classList.remove("at");
    rows[i].classList.add("at");
    rows[i].scrollIntoView({ block: "nearest" });
  };
  switch (e.key) {
    case "/": {
      const q = document.querySelector(".find input");
      if (q) { e.preventDefault(); q.focus(); }
      break;
    }
    case "j": if (rows.length) go(Math.min(at + 1, rows.length - 1)); break;
    case "k": if (rows.length) go(Math.max(at - 1, 0)); break;
    case "Enter": {
      const a = at >= 0 && rows[at].querySelector("a");
      if (a && e.target === document.body) a.click();
      break;
    }
    case "?": document.getElementById("keys")?.showModal(); break;
  }
});
