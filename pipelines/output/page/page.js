"use strict";
// Sorting, filtering, opening rows, and the choice of colours. The page is complete without it; no library is needed for that.
(() => {
  const root = document.documentElement, details = JSON.parse(document.getElementById("details").textContent);
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    for (const source of document.querySelectorAll("source.dark")) source.media = dark ? "not all" : "all";
  });
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const make = (name, text, parent) => { const one = document.createElement(name); if (text !== undefined) one.textContent = text; if (parent) parent.append(one); return one; };

  // Sorting: numbers by data-value with missing ones last, the rest as text. An opened row closes.
  const value = (row, column) => { const cell = row.cells[column]; return cell.dataset.value === undefined ? cell.textContent.toLowerCase() : cell.dataset.value === "" ? null : Number(cell.dataset.value); };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    closeAll();
    const keyed = rows.map((row, index) => [value(row, column), index, row]);
    keyed.sort(([a, i], [b, j]) => (a === null) - (b === null) || (a === null ? 0 : (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1)) || i - j);
    body.append(...keyed.map(one => one[2]));
  }));

  // Filtering.
  const form = document.getElementById("filters"), search = document.getElementById("search"), study = document.getElementById("study"), status = document.getElementById("status"), shown = document.getElementById("shown");
  const texts = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    closeAll();
    for (const row of rows) {
      const fits = (!study.value || row.cells[0].textContent === study.value) && (!status.value || row.cells[4].textContent === status.value) && words.every(word => texts.get(row).includes(word));
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());

  // A claim's link to its rows searches for them.
  for (const link of document.querySelectorAll("a[data-search]")) link.addEventListener("click", () => { form.reset(); search.value = link.dataset.search; filter(); });

  // Opening: the name of a system becomes a button that shows the row's details below it.
  const closeAll = () => { for (const button of body.querySelectorAll("[aria-expanded=true]")) toggle(button); };
  const shownValue = one => Array.isArray(one) ? one.map(shownValue).join(", ") : typeof one === "object" ? Object.entries(one).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${shownValue(value)}`).join(", ") : String(one);
  const isEmpty = one => one === null || one === "" || typeof one === "object" && !Object.keys(one).length;
  const list = (title, values, parent) => {
    if (!values || !Object.keys(values).length) return;
    const box = make("div", undefined, parent);
    make("dt", title, box);
    make("dd", Object.entries(values).filter(([, one]) => !isEmpty(one)).map(([name, one]) => `${name} ${shownValue(one)}`).join("; "), box);
  };
  const rounds = (ms, parent) => {
    if (!ms.length) return;
    const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg"), low = Math.min(...ms), high = Math.max(...ms), width = high - low || high || 1;
    const put = (name, attributes, text) => { const one = document.createElementNS(space, name); for (const key in attributes) one.setAttribute(key, attributes[key]); if (text) one.textContent = text; svg.append(one); };
    svg.setAttribute("viewBox", "0 0 320 34"); svg.setAttribute("role", "img"); svg.setAttribute("aria-label", `${ms.length} rounds from ${low} to ${high} milliseconds`);
    put("line", { class: "axis", x1: 10, x2: 310, y1: 22, y2: 22 });
    ms.forEach((one, index) => put("circle", { cx: 10 + 300 * (one - low) / width, cy: 16 - 3 * (index % 4), r: 3 }));
    put("text", { x: 10, y: 33 }, `${low} ms`); put("text", { x: 310, y: 33, "text-anchor": "end" }, `${high} ms`);
    const box = make("div", undefined, parent); make("dt", `${ms.length} rounds`, box); make("dd", undefined, box).append(svg);
  };
  const opened = one => {
    const row = make("tr"), cell = make("td", undefined, row), box = make("dl", undefined, cell);
    row.className = "opened"; cell.colSpan = heads.length;
    const line = (name, text, code) => { if (text === null || text === undefined || text === "") return; const pair = make("div", undefined, box); make("dt", name, pair); const slot = make("dd", undefined, pair); make(code ? "code" : "span", text, slot); };
    rounds(one.ms, box);
    line("measure again", one.command, true);
    list("parameters", one.parameters, box); list("diagnostics", one.diagnostics, box); list("phases (s)", one.phases, box); list("timing", one.timing, box); list("notes", one.notes, box);
    line("seed", one.seed); line("device", one.device); line("started", one.started); line("record", one.key, true);
    list("provenance", details.where[one.where], box);
    return row;
  };
  const toggle = button => {
    const row = button.closest("tr"), open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) row.nextElementSibling.remove(); else row.after(opened(details.rows[Number(row.dataset.row)]));
  };
  for (const row of rows) {
    const head = row.cells[2], button = make("button", head.textContent);
    button.type = "button"; button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggle(button));
    head.replaceChildren(button);
  }
  filter();
})();
