// Pasted tables: text -> cells -> a tensor, with the row and the column of what is wrong. Rows and columns count from 1,
// as spreadsheets do.
//
// 1. Where a table names its columns and the model knows their names (`spec.columns`), they are put in the model's order,
//    and a table that lacks one, or has another, is refused: columns that are mixed up are the worst kind of wrong answer.
// 2. Where the model does not know them, the order is the table's own.

import { countOf, makeTensor, readElement } from "./tensors.js";

const SEPARATORS = ["\t", ";", ","];
const MOST_NAMED = 8;

export class CsvError extends Error {
  constructor(message, row = null, column = null) {
    const where = [row && `row ${row}`, column && `column ${column}`].filter(Boolean).join(", ");
    super(where ? `${where}: ${message}` : message);
    this.row = row;
    this.column = column;
  }
}

/** Lists of cells, empty lines left out, at most so many; each list has a `row`, the line that it begins on. */
export function parseCsv(text, most = Infinity) {
  const separator = guessSeparator(text);
  const rows = [];
  let cells = [];
  let cell = "";
  let line = 1;
  let began = 1;
  let state = "start"; // of a cell: start, plain, quoted, closed
  const endCell = () => {
    cells.push(cell);
    cell = "";
    state = "start";
  };
  const endRow = () => {
    endCell();
    if (cells.length > 1 || cells[0].trim() !== "") rows.push(Object.assign(cells, { row: began }));
    cells = [];
  };
  for (let at = 0; at < text.length && rows.length < most; at += 1) {
    const sign = text[at];
    if (state === "quoted") {
      if (sign === "\n") line += 1;
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else state = "closed";
    } else if (sign === '"' && state === "start" && cell.trim() === "") {
      cell = "";
      state = "quoted";
    } else if (sign === separator) endCell();
    else if (sign === "\n") {
      endRow();
      line += 1;
      began = line;
    } else if (sign !== "\r") {
      if (state === "closed" && sign.trim() !== "") {
        throw new CsvError(`expected a separator after a closing quote`, line, cells.length + 1);
      }
      if (state !== "closed") {
        cell += sign;
        state = cell.trim() === "" ? "start" : "plain";
      }
    }
  }
  if (state === "quoted") throw new CsvError("a quoted cell is never closed", began, cells.length + 1);
  endRow();
  return rows;
}

/** The separator that the first line has most of; of none, a comma. */
export function guessSeparator(text) {
  const [first] = text.trimStart().split("\n", 1);
  const counts = SEPARATORS.map((sign) => first.split(sign).length);
  const most = Math.max(...counts);
  return most === 1 ? "," : SEPARATORS[counts.indexOf(most)];
}

/** Whether the first row of a pasted text names columns: there are more rows, and its cells say so. */
export function namesColumns(text, spec) {
  let rows;
  try {
    rows = parseCsv(text, 2);
  } catch {
    return false; // what is wrong is said when it is sent
  }
  if (rows.length < 2) return false;
  const names = namesIn(rows[0]);
  const known = spec.columns ?? [spec.name];
  const isOther = names.map((name) => spec.dtype === "string" || !isElement(name, spec.dtype));
  if (names.some((name, place) => isOther[place] && known.includes(name))) return true;
  if (spec.dtype !== "string" && isOther.every(Boolean)) return true;
  return Boolean(spec.columns) && names.length === known.length && known.every((name) => names.includes(name));
}

function isElement(cell, dtype) {
  try {
    readElement(cell, dtype);
    return true;
  } catch {
    return false;
  }
}

function namesIn(cells) {
  return cells.map((cell) => cell.trim());
}

/** A pasted table as one input's tensor; throws a CsvError. `isNamed` says whether its first row names its columns. */
export function csvTensor(text, spec, isNamed = namesColumns(text, spec)) {
  const all = parseCsv(text);
  if (!all.length) throw new CsvError("there is nothing but empty lines");
  const rows = isNamed ? all.slice(1) : all;
  if (!rows.length) throw new CsvError("there is no row below the names", all[0].row);
  const width = widthOf(all);
  let places = Array.from({ length: width }, (_, place) => place);
  if (isNamed && spec.columns) {
    compareNames(all[0], spec.columns, spec.columns);
    const names = namesIn(all[0]);
    places = spec.columns.map((name) => names.indexOf(name));
  }
  const shape = shapeOf(rows.length, width, spec.shape);
  const values = rows.flatMap((cells) => places.map((place) => readCell(cells, place, spec)));
  return makeTensor(spec.dtype, shape, values);
}

/** A pasted table with a column for each input, named in its first row, as tensors by name; throws a CsvError. */
export function tableTensors(text, specs) {
  const [head, ...rows] = parseCsv(text);
  if (!rows.length) throw new CsvError("expected a row with the names of the inputs, and rows below it");
  const taken = specs.map((spec) => spec.name);
  const required = specs.filter((spec) => !spec.optional).map((spec) => spec.name);
  compareNames(head, required, taken);
  widthOf([head, ...rows]);
  const names = namesIn(head);
  const column = (spec) => rows.map((cells) => readCell(cells, names.indexOf(spec.name), spec));
  const shape = (spec) => (spec.shape?.length === 2 ? [rows.length, 1] : [rows.length]);
  const found = specs.filter((spec) => names.includes(spec.name));
  return new Map(found.map((spec) => [spec.name, makeTensor(spec.dtype, shape(spec), column(spec))]));
}

function widthOf(rows) {
  const width = rows[0].length;
  for (const cells of rows) {
    if (cells.length !== width) {
      throw new CsvError(`expected ${width} cells, as in row ${rows[0].row}, received ${cells.length}`, cells.row);
    }
  }
  return width;
}

function readCell(cells, place, spec) {
  try {
    return readElement(cells[place], spec.dtype);
  } catch (error) {
    throw new CsvError(error.message, cells.row, place + 1);
  }
}

/** Refuse names that lack a wanted one, have one that nothing takes, or one twice. */
function compareNames(cells, wanted, taken) {
  const names = namesIn(cells);
  const twice = names.filter((name, place) => names.indexOf(name) !== place);
  if (twice.length) throw new CsvError(`two columns have the same name: ${listed(twice)}`, cells.row);
  const missing = wanted.filter((name) => !names.includes(name));
  const others = names.filter((name) => !taken.includes(name));
  const faults = [missing.length && `lacks ${listed(missing)}`, others.length && `has besides ${listed(others)}`];
  const said = faults.filter(Boolean).join(", and ");
  if (said) throw new CsvError(`the table ${said}; the model takes the columns ${listed(wanted)}`, cells.row);
}

/** Names as a sentence has them, not more than a few. */
export function listed(names) {
  const said = names.slice(0, MOST_NAMED).map((name) => name || "one without a name").join(", ");
  return names.length > MOST_NAMED ? `${said} and ${names.length - MOST_NAMED} more` : said;
}

/** The shape that so many rows and columns make of an input: a row for each first index, its cells in row-major order. */
export function shapeOf(rows, columns, wanted) {
  if (wanted === null) return [rows, columns];
  const said = `${rows} × ${columns} cells`;
  if (wanted.length === 0) {
    if (rows * columns !== 1) throw new CsvError(`expected one cell, received ${said}`);
    return [];
  }
  if (wanted.length === 1) {
    if (rows !== 1 && columns !== 1) throw new CsvError(`expected one row or one column, received ${said}`);
    return checked([rows * columns], wanted, said);
  }
  const inner = wanted.slice(1);
  const free = inner.filter((dim) => typeof dim !== "number");
  const known = countOf(inner.filter((dim) => typeof dim === "number"));
  if (free.length > 1) throw new CsvError("more than one inner dimension is free: write JSON, or take a .npy file");
  if (known === 0 || (free.length ? columns % known : columns !== known)) {
    throw new CsvError(`expected ${free.length ? "a multiple of " : ""}${known} columns, received ${columns}`);
  }
  return checked([rows, ...inner.map((dim) => (typeof dim === "number" ? dim : columns / known))], wanted, said);
}

function checked(shape, wanted, said) {
  if (typeof wanted[0] === "number" && wanted[0] !== shape[0]) {
    throw new CsvError(`expected ${wanted[0]} ${wanted.length > 1 ? "rows" : "cells"}, received ${said}`);
  }
  return shape;
}
