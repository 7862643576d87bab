"use strict";
(() => {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const kind = document.getElementById("kind");
  const level = document.getElementById("level");
  const count = document.getElementById("count");
  const rows = Array.from(document.querySelectorAll("#list tbody tr"), (row) => ({
    row,
    kind: row.cells[0].textContent,
    level: row.cells[4].textContent,
    text: (row.textContent + " " + (row.dataset.words || "")).toLowerCase(),
  }));
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of rows) {
      const fits = (!kind.value || entry.kind === kind.value)
        && (!level.value || entry.level === level.value)
        && wanted.every((word) => entry.text.includes(word));
      entry.row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    count.textContent = shown + " of " + rows.length;
    const query = new URLSearchParams(Object.entries({ q: words.value, kind: kind.value, level: level.value }).filter(([, value]) => value));
    history.replaceState(null, "", query.toString() ? "#" + query : location.pathname + location.search);
  };
  const query = new URLSearchParams(location.hash.slice(1));
  words.value = query.get("q") || "";
  kind.value = query.get("kind") || "";
  level.value = query.get("level") || "";
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
