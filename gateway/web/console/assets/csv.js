// Pasted tables: text -> cells -> a tensor, with the row and the column of what is wrong. Rows and columns count from 1,
// as spreadsheets do.

import { boundsOf, countOf, isFloat, makeTensor, readElement } from "./tensors.js";

const SEPARATORS = ["\t", ";", ","];

export class CsvError extends Error {
  constructor(message, row = null, column = null) {
    const where = [row && `row ${row}`, column && `column ${column}`].filter(Boolean).join(", ");
    super(where ? `${where}: ${message}` : message);
    this.row = row;
    this.column = column;
  }
}

/** Lists of cells, empty lines left out; each list has a `row`, the line that it begins on. */
export function parseCsv(text, separator = guessSeparator(text)) {
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
  for (let at = 0; at < text.length; at += 1) {
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

/** Whether a row names columns: there are more rows, the elements are numbers, and no cell of it is one. */
export function isHeader(rows, dtype) {
  if (rows.length < 2 || !(boundsOf(dtype) || isFloat(dtype))) return false;
  return rows[0].every((cell) => {
    try {
      readElement(cell, dtype);
      return false;
    } catch {
      return true;
    }
  });
}

/** A pasted table as one input's tensor; throws a CsvError. */
export function csvTensor(text, spec) {
  let rows = parseCsv(text);
  if (!rows.length) throw new CsvError("there is nothing but empty lines");
  if (isHeader(rows, spec.dtype)) rows = rows.slice(1);
  const width = rows[0].length;
  for (const cells of rows) {
    if (cells.length !== width) {
      throw new CsvError(`expected ${width} cells, as in row ${rows[0].row}, received ${cells.length}`, cells.row);
    }
  }
  const shape = shapeOf(rows.length, width, spec.shape);
  const values = rows.flatMap((cells) =>
    cells.map((cell, place) => {
      try {
        return readElement(cell, spec.dtype);
      } catch (error) {
        throw new CsvError(error.message, cells.row, place + 1);
      }
    }),
  );
  return makeTensor(spec.dtype, shape, values);
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
