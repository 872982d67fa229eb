// What the gateway has answered, as tables: bounded, whatever a model gives.

import { counted, make, shown } from "./elements.js";
import { writeExactly } from "./exact-json.js";
import { countOf, isFloat } from "./tensors.js";

const MOST_ROWS = 50;
const MOST_COLUMNS = 20;
const MOST_TEXT = 4_000;
const TOP = 5;

/** The shape of what JSON says of a tensor, and its elements in row-major order. */
export function flattened(value) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return { shape: value.shape, data: value.data };
  const shape = [];
  for (let level = value; Array.isArray(level); [level] = level) shape.push(level.length);
  return { shape, data: shape.length ? value.flat(Infinity) : [value] };
}

/** One output: its name, its shape, the best classes if it is scores of one row, and a table of what it holds. */
export function outputPart(spec, value) {
  const title = make("h3", {}, make("code", {}, spec.name), " ");
  if (spec.containers?.length) {
    const text = writeExactly(value);
    const cut = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)} …` : text;
    title.append(make("span", { class: "quiet" }, spec.text));
    return make("section", { class: "output stack" }, title, make("pre", { tabindex: "0" }, make("code", {}, cut)));
  }
  const { shape, data } = flattened(value);
  title.append(make("span", { class: "quiet" }, `${spec.dtype} [${shape.join(", ")}]`));
  const best = bestPart(spec, shape, data);
  const table = data.length ? tablePart(spec, shape, data) : make("p", { class: "quiet" }, "No elements.");
  if (best && data.length > MOST_COLUMNS) {
    const all = make("details", {}, make("summary", {}, "All scores"), table);
    return make("section", { class: "output stack" }, title, best, all);
  }
  return make("section", { class: "output stack" }, title, best, table);
}

function bestPart(spec, shape, data) {
  const isOneRow = shape.length === 2 && shape[0] === 1 && shape[1] > TOP;
  if (!isOneRow || !isFloat(spec.dtype) || data.some((score) => typeof score !== "number")) return null;
  const order = Array.from(data.keys()).sort((a, b) => data[b] - data[a]);
  const list = make("ol", { class: "best" });
  for (const place of order.slice(0, TOP)) {
    const isShare = data[place] >= 0 && data[place] <= 1;
    const bar = isShare ? make("meter", { min: 0, max: 1, value: data[place], "aria-hidden": "true" }) : null;
    list.append(make("li", {}, make("span", {}, `class ${place}`), bar, make("span", { class: "number" }, shown(data[place]))));
  }
  const says = `The ${TOP} highest of ${data.length.toLocaleString("en")} scores`;
  return make("div", {}, make("p", { class: "quiet small" }, says), list);
}

function tablePart(spec, shape, data) {
  const columns = shape.length < 2 ? 1 : shape[shape.length - 1];
  const rows = data.length / columns;
  const head = make("tr", {}, make("th", { scope: "col" }, rowTitle(shape)));
  const body = make("tbody");
  const widest = Math.min(columns, MOST_COLUMNS);
  for (let column = 0; column < widest; column += 1) {
    head.append(make("th", { scope: "col", class: "number" }, shape.length < 2 ? "value" : String(column)));
  }
  for (let row = 0; row < Math.min(rows, MOST_ROWS); row += 1) {
    const line = make("tr", {}, make("th", { scope: "row" }, indexOf(row, shape)));
    for (let column = 0; column < widest; column += 1) {
      line.append(make("td", { class: "number" }, shown(data[row * columns + column])));
    }
    body.append(line);
  }
  const caption = make("caption", { class: "unseen" }, `Values of ${spec.name}`);
  const table = make("table", {}, caption, make("thead", {}, head), body);
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Values of ${spec.name}` }, table);
  if (rows <= MOST_ROWS && columns <= MOST_COLUMNS) return scroll;
  const part = `The first ${counted(Math.min(rows, MOST_ROWS), "row")} and ${counted(widest, "column")}`;
  return make("div", {}, scroll, make("p", { class: "quiet small" }, `${part} of ${rows} × ${columns}.`));
}

function rowTitle(shape) {
  return shape.length > 2 ? "index" : "row";
}

/** The index of a row in all dimensions but the last. */
function indexOf(row, shape) {
  if (shape.length < 3) return String(row);
  const outer = shape.slice(0, -1);
  const places = outer.map((size, axis) => Math.floor(row / countOf(outer.slice(axis + 1))) % size);
  return places.join(", ");
}

/** A refusal: what is wrong, and everything that is wrong which no field of the form can show. */
export function refusalPart(problem, violations) {
  const list = violations.map((fault) => {
    const said = `: expected ${fault.expected}, received ${fault.received}`;
    return make("li", {}, make("code", {}, fault.path || "/"), said);
  });
  return make(
    "div",
    { class: "notice bad tight" },
    make("h3", {}, problem.title ?? "It was refused"),
    make("p", {}, problem.detail ?? ""),
    list.length ? make("ul", { class: "faults" }, ...list) : null,
    problem.code ? make("p", { class: "small quiet" }, `Code ${problem.code}, request ${problem.instance ?? "unknown"}`) : null,
  );
}

/** The name of the input that a violation's path is about, and where in it; null for none. */
export function placeOf(path) {
  const parts = path.split("/").slice(1).map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
  if (parts[0] !== "inputs" || parts.length < 2) return null;
  return { name: parts[1], inside: parts.slice(2) };
}
