"use strict";
// Sorting, definitions, plots and the list of every run. Tables and words are in the page already.

document.documentElement.classList.add("js"); // plots in the place of still figures
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// --- Sorting: each body of a table among itself, so that groups stay groups and controls stay below methods.
const KINDS = ["", "method", "control", "noise"];

function nextOrder(header) {
  const order = { none: "ascending", ascending: "descending", descending: "none" }[header.ariaSort ?? "none"];
  all("th[aria-sort]", header.parentNode).forEach((other) => other.removeAttribute("aria-sort"));
  if (order !== "none") header.setAttribute("aria-sort", order);
  return order;
}

function compare(a, b, order) {
  if (order === "none") return 0;
  if (a === null || b === null) return (a === null) - (b === null); // the undefined last, whichever way
  const sign = order === "ascending" ? 1 : -1;
  const numbers = typeof a === "number" && typeof b === "number";
  return sign * (numbers ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
}

function valueOf(cell) {
  const text = cell === undefined ? undefined : cell.tagName === "TH" ? cell.firstChild.textContent : cell.dataset.value;
  return text === undefined || text === "" ? null : isNaN(text) ? text : Number(text);
}

function sortTable(header) {
  const column = [...header.parentNode.children].indexOf(header);
  const order = nextOrder(header);
  for (const body of header.closest("table").tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    rows.forEach((row, position) => (row.dataset.at ??= position));
    const kind = (row) => KINDS.indexOf(row.className);
    rows.sort(
      (a, b) =>
        kind(a) - kind(b) ||
        compare(valueOf(a.cells[column]), valueOf(b.cells[column]), order) ||
        a.dataset.at - b.dataset.at,
    );
    body.append(...rows);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("table.sortable button.sort");
  if (button) sortTable(button.closest("th"));
});

// --- Definitions open below their button; the browser closes them with Escape or a click elsewhere.
document.addEventListener("toggle", (event) => {
  const note = event.target;
  if (!note.matches?.("[popover]") || event.newState !== "open") return;
  const button = document.querySelector(`[popovertarget="${CSS.escape(note.id)}"]`).getBoundingClientRect();
  const left = Math.min(button.left, document.documentElement.clientWidth - note.offsetWidth - 12);
  const below = button.bottom + 6;
  const fits = below + note.offsetHeight < document.documentElement.clientHeight;
  note.style.left = `${Math.max(left, 12)}px`;
  note.style.top = `${fits ? below : Math.max(button.top - note.offsetHeight - 6, 12)}px`;
}, true);

// Plotly reads a few elements of HTML and formulas between dollars in its labels; the user's words have none.
const plain = (text) => text.replace(/[&<>$]/g, (sign) => `&#${sign.charCodeAt(0)};`);

// --- Plots: drawn when they come near the view, and again when the metric or the colour scheme changes. Print shows the
// still figures instead.
const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const colour = (label) => data.looks[label][dark.matches ? "dark" : "light"];
const number = (value) => (value === null || value === undefined ? "undefined" : Number(value.toPrecision(4)).toString());
const bounds = ([value, low, high]) => `${number(value)}${low === null ? "" : ` [${number(low)}, ${number(high)}]`}`;
const bar = ([value, low, high]) => ({
  type: "data", symmetric: false, array: [high === null ? 0 : high - value], arrayminus: [low === null ? 0 : value - low],
  thickness: 1.4, width: 3,
});

function traces(plot, metric) {
  return (plot.kind === "front" ? frontTraces : methodTraces)(plot, metric).map((trace) => ({
    type: "scatter", showlegend: false, hovertemplate: "%{text}<extra></extra>", ...trace,
  }));
}

function methodTraces(plot, metric) {
  return plot.entries.flatMap(({ label, runs, means }) => {
    const look = data.looks[label];
    const values = runs[metric] ?? [];
    return [
      {
        mode: "markers", x: values, y: values.map(() => plain(label)), marker: { color: colour(label), size: 5, opacity: 0.45 },
        text: runs.names.map((name, i) => `${plain(label)}, ${name}<br>${data.measures[metric].title} ${number(values[i])}`),
      },
      {
        mode: "markers", x: [means[metric][0]], y: [plain(label)], error_x: { ...bar(means[metric]), color: colour(label) },
        marker: { color: colour(label), symbol: look.symbol, size: 10, line: { width: 1.2, color: ink("ground") } },
        text: [`${plain(label)}<br>mean ${data.measures[metric].title} ${bounds(means[metric])}`],
      },
    ];
  });
}

function frontTraces(plot, metric) {
  const title = data.measures[metric].title;
  const tried = plot.lines.filter(({ label }) => label in data.looks).map(({ label, points }) => ({
    mode: "lines+markers",
    x: points.map((point) => point.metrics[metric]), y: points.map((point) => point.asr),
    line: { color: colour(label), width: 1, dash: data.looks[label].dash },
    marker: {
      color: colour(label), symbol: data.looks[label].symbol, size: points.map((point) => (point.chosen.length ? 8 : 5)),
      line: { color: ink("ink"), width: points.map((point) => (point.chosen.length ? 1.6 : 0)) },
    },
    opacity: 0.8,
    text: points.map((point) =>
      [
        `${plain(label)}, on selection${point.chosen.length ? `, chosen for ASR ${point.chosen.join(" and ")}` : ""}`,
        `strength ${number(point.strength)}, scale ${number(point.scale)}`,
        `ASR ${number(point.asr)}, ${title} ${number(point.metrics[metric])}`,
      ].join("<br>").replace("strength undefined, ", "")),
  }));
  const reported = plot.reported.filter((entry) => !entry.control && entry.asr[0] !== null).map(({ label, target, asr, means }) => ({
    mode: "markers", x: [means[metric][0]], y: [asr[0]],
    error_x: { ...bar(means[metric]), color: colour(label) }, error_y: { ...bar(asr), color: colour(label) },
    marker: { color: colour(label), symbol: data.looks[label].symbol, size: 12, line: { width: 1.2, color: ink("ground") } },
    text: [`${plain(label)}, reported on test, target ASR ${target}<br>ASR ${bounds(asr)}<br>${title} ${bounds(means[metric])}`],
  }));
  return [...tried, ...reported];
}

// Success rates far below the targets would squeeze the rest; a double click shows them.
function successRange({ from, lines, reported }) {
  if (from === null) return {};
  const rates = [...lines.flatMap((line) => line.points.map((point) => point.asr)), ...reported.flatMap((entry) => entry.asr)];
  const low = Math.min(...rates.filter((rate) => rate !== null && rate >= from));
  return { range: [low - 0.08 * (1 - low), 1 + 0.05 * (1 - low)] };
}

// Whether a logarithmic axis spans so little that powers of ten alone would be too few ticks.
function narrow(plot, metric) {
  const x = traces(plot, metric).flatMap((trace) => trace.x).filter((value) => value > 0);
  return Math.max(...x) / Math.min(...x) < 60;
}

function layout(plot, metric) {
  const { title, unit, log } = data.measures[metric];
  const axis = { gridcolor: ink("line"), linecolor: ink("strong-line"), zeroline: false, automargin: true };
  const base = {
    margin: { l: 8, r: 12, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink("ink") },
    hoverlabel: { bgcolor: ink("raised"), bordercolor: ink("strong-line"), font: { color: ink("ink") }, align: "left" },
    xaxis: {
      ...axis, title: { text: unit === "nats" ? `${title} (nats)` : title, standoff: 8 }, type: log ? "log" : "linear",
      ...(log ? { dtick: narrow(plot, metric) ? "D2" : 1, tickformat: "~g" } : { nticks: 5 }),
    },
  };
  if (plot.kind === "methods") {
    const labels = plot.entries.map((entry) => plain(entry.label));
    base.yaxis = { ...axis, type: "category", categoryorder: "array", categoryarray: labels, autorange: "reversed", ticksuffix: " " };
    return { ...base, height: 70 + 30 * labels.length };
  }
  const line = (ends, dash) => ({ type: "line", line: { color: ink("soft"), width: 1, dash }, layer: "below", ...ends });
  const control = plot.reported.find((entry) => entry.control);
  const mean = control?.means[metric][0];
  base.shapes = plot.targets.map((target) => line({ xref: "paper", x0: 0, x1: 1, y0: target, y1: target }, "dot"));
  if (mean !== null && mean !== undefined && (!log || mean > 0)) base.shapes.push(line({ yref: "paper", y0: 0, y1: 1, x0: mean, x1: mean }, "dash"));
  base.yaxis = { ...axis, title: { text: "attack success rate", standoff: 8 }, nticks: 6, ...successRange(plot) };
  return { ...base, height: 340 };
}

function draw(element) {
  const plot = data.plots[element.dataset.plot];
  const metric = element.closest(".plots").querySelector("select").value;
  element.dataset.drawn = metric;
  const options = { responsive: true, displayModeBar: false, scrollZoom: false };
  return Plotly.react(element, traces(plot, metric), layout(plot, metric), options);
}

// The signs of the methods, above the fronts; the other plots name their methods at the axis.
const GLYPHS = {
  circle: "\u25cf", "circle-open": "\u25cb", x: "\u2716", "triangle-down": "\u25bc", "triangle-up": "\u25b2", cross: "\u271a",
  square: "\u25a0", diamond: "\u25c6", hexagon: "\u2b22", "triangle-left": "\u25c0", "triangle-right": "\u25b6",
  pentagon: "\u2b1f", star: "\u2605", "diamond-tall": "\u2b27",
};
function drawKey(list) {
  const plots = all(".plot", list.closest(".plots")).map((element) => data.plots[element.dataset.plot]);
  const labels = new Set(plots.flatMap((plot) => [...plot.lines, ...plot.reported.filter((entry) => !entry.control)].map((entry) => entry.label)));
  const sign = (label) => make("span", { textContent: GLYPHS[data.looks[label].symbol] ?? "\u25c7", style: `color: ${colour(label)}`, ariaHidden: "true" });
  list.replaceChildren(...[...labels].filter((label) => label in data.looks).map((label) => make("li", {}, sign(label), label)));
}
const keys = (within = document) => all(".key", within).forEach(drawKey);

const redraw = (within = document) => all(".plot[data-drawn]", within).forEach(draw);
const start = () => {
  const source = document.getElementById("plotly");
  if (source.type === "text/plain") {
    document.head.append(make("script", { textContent: source.textContent }));
    source.type = "text/x-done";
    source.textContent = "";
  }
};
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      near.unobserve(target);
      start();
      draw(target);
    }
  }
}, { rootMargin: "400px" });

keys();
all(".plot").forEach((element) => near.observe(element));
all(".plots").forEach((block) => block.querySelector("select").addEventListener("change", () => redraw(block)));
const restyle = () => { keys(); redraw(); };
dark.addEventListener("change", restyle);

// --- Words above a table that is cut off say so; the style sheet guesses where there are no scripts.
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const words = target.previousElementSibling;
    if (words?.classList.contains("sideways")) words.style.display = target.scrollWidth > target.clientWidth + 1 ? "block" : "none";
  }
});
all(".scroll").forEach((box) => sizes.observe(box));

// --- Every run: built when opened, some rows at a time.
const STEP = 200;

function everyRun(details) {
  const { names, values } = data.runs;
  const count = values.length ? values[0].length : 0;
  const whole = Array.from({ length: count }, (_, i) => i);
  let rows = whole, shown = STEP;
  const body = make("tbody");
  const status = make("p", { role: "status" });
  const more = make("button", { type: "button", className: "more", textContent: `Show ${STEP} more` });
  const filter = make("input", { type: "search", id: "filter", placeholder: "anchoring 640" });
  const alignment = values.map((column) => (column.some((value) => typeof value === "string") ? "words" : ""));
  const headers = names.map((name, i) => make("th", { scope: "col", className: alignment[i] }, make("button", { type: "button", className: "sort", textContent: name })));
  const table = make("table", {}, make("caption", { className: "unseen", textContent: "Every run" }), make("thead", {}, make("tr", {}, ...headers)), body);
  const box = make("div", { className: "scroll raw", tabIndex: 0 }, table);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Every run");

  const cell = (value, i) => make("td", { textContent: value === null ? "" : value, className: alignment[i] });
  const show = (from = 0) => {
    if (from === 0) body.replaceChildren();
    body.append(...rows.slice(from, shown).map((row) => make("tr", {}, ...values.map((column, i) => cell(column[row], i)))));
    status.textContent = `${Math.min(shown, rows.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows shown`;
    more.hidden = shown >= rows.length;
  };
  const words = (row) => values.map((column) => column[row]).join(" ").toLowerCase();
  let order = "none", sorted = 0;
  const arrange = () => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows = whole.filter((row) => wanted.length === 0 || wanted.every((word) => words(row).includes(word)));
    rows.sort((a, b) => compare(values[sorted][a], values[sorted][b], order) || a - b);
    shown = STEP;
    show();
  };
  headers.forEach((header, column) => header.firstChild.addEventListener("click", () => {
    order = nextOrder(header);
    sorted = column;
    arrange();
  }));
  filter.addEventListener("input", arrange);
  more.addEventListener("click", () => { shown += STEP; show(shown - STEP); });
  const label = make("label", { htmlFor: "filter", textContent: "Rows that contain" });
  details.append(make("div", { className: "choose" }, label, filter), status, box, more);
  show();
}

document.getElementById("every-run").addEventListener("toggle", (event) => everyRun(event.target), { once: true });
