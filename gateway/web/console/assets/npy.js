// A .npy file, as numpy.save writes it -> a tensor. Arrays of objects are Python programs, and are refused.
// Source: numpy.lib.format, versions 1.0 to 3.0.

import { countOf, makeTensor } from "./tensors.js";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const READERS = {
  f4: ["float32", 4, (view, at, little) => view.getFloat32(at, little)],
  f8: ["float64", 8, (view, at, little) => view.getFloat64(at, little)],
  f2: ["float16", 2, (view, at, little) => halfToNumber(view.getUint16(at, little))],
  i1: ["int8", 1, (view, at) => view.getInt8(at)],
  i2: ["int16", 2, (view, at, little) => view.getInt16(at, little)],
  i4: ["int32", 4, (view, at, little) => view.getInt32(at, little)],
  i8: ["int64", 8, (view, at, little) => view.getBigInt64(at, little)],
  u1: ["uint8", 1, (view, at) => view.getUint8(at)],
  u2: ["uint16", 2, (view, at, little) => view.getUint16(at, little)],
  u4: ["uint32", 4, (view, at, little) => view.getUint32(at, little)],
  u8: ["uint64", 8, (view, at, little) => view.getBigUint64(at, little)],
  b1: ["bool", 1, (view, at) => view.getUint8(at) !== 0],
};

/** What the header says: {descr, isFortran, shape, begin}; throws an Error that says what is wrong with the file. */
export function readHeader(buffer) {
  const octets = new Uint8Array(buffer);
  if (octets.length < 10 || MAGIC.some((octet, place) => octets[place] !== octet)) {
    throw new Error("this is no .npy file: write one with numpy.save");
  }
  const view = new DataView(buffer);
  const isLong = octets[6] > 1;
  if (octets[6] > 3 || (isLong && octets.length < 12)) throw new Error("this version of .npy is not known");
  const begin = isLong ? 12 : 10;
  const end = begin + (isLong ? view.getUint32(8, true) : view.getUint16(8, true));
  if (end > octets.length) throw new Error("the file is cut off within its header");
  const text = new TextDecoder().decode(octets.subarray(begin, end));
  const descr = /'descr':\s*'([^']*)'/.exec(text);
  const order = /'fortran_order':\s*(True|False)/.exec(text);
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text);
  if (!descr || !order || !shape) throw new Error("expected an array of numbers, truth values or text in the file");
  const sizes = shape[1].split(",").map((size) => size.trim()).filter(Boolean).map(Number);
  return { descr: descr[1], isFortran: order[1] === "True", shape: sizes, begin: end };
}

/** The tensor of a file. */
export function readNpy(buffer) {
  const { descr, isFortran, shape, begin } = readHeader(buffer);
  const count = countOf(shape);
  const [dtype, size, read] = readerOf(descr);
  if (buffer.byteLength - begin !== count * size) {
    throw new Error(`expected ${count * size} bytes of data, received ${buffer.byteLength - begin}: was it cut off?`);
  }
  const view = new DataView(buffer, begin);
  const isLittle = descr[0] !== ">";
  const values = Array.from({ length: count }, (_, place) => read(view, place * size, isLittle));
  return makeTensor(dtype, shape, isFortran ? toRowMajor(values, shape) : values);
}

function readerOf(descr) {
  const text = /^([<>|])([US])(\d+)$/.exec(descr);
  if (text) {
    const size = Number(text[3]) * (text[2] === "U" ? 4 : 1);
    return ["string", size, (view, at, little) => readText(view, at, size, text[2] === "U", little)];
  }
  const reader = READERS[descr.slice(1)];
  if (!reader || !"<>|=".includes(descr[0])) throw new Error(`expected a type that a tensor can have, received ${descr}`);
  return reader;
}

function readText(view, at, size, isWide, little) {
  if (!isWide) {
    const octets = new Uint8Array(view.buffer, view.byteOffset + at, size);
    return new TextDecoder().decode(octets).replace(/\0+$/, "");
  }
  let said = "";
  for (let place = 0; place < size; place += 4) said += String.fromCodePoint(view.getUint32(at + place, little));
  return said.replace(/\0+$/, "");
}

/** The elements of an array that was written column by column, row by row. */
export function toRowMajor(values, shape) {
  const strides = [];
  let stride = 1;
  for (const size of shape) {
    strides.push(stride);
    stride *= size;
  }
  return values.map((_, place) => {
    let rest = place;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      from += (rest % shape[axis]) * strides[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return values[from];
  });
}

/** The number that 16 bits are as IEEE 754 binary16. */
export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
