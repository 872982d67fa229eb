// Tensors as the page has them: {dtype, shape, data}, row-major; data is a typed array where JavaScript has one of the
// dtype, else a list. 64-bit integers are BigInt: no digit of them is lost.

export const TYPED = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
};

const INFINITE = { nan: NaN, inf: Infinity, infinity: Infinity, "-inf": -Infinity, "-infinity": -Infinity };
// What an element of so many bits rounds to infinity from: halfway between the largest number and the next power of two.
const TOO_LARGE = { float16: 65520, bfloat16: (2 - 2 ** -8) * 2 ** 127, float32: (2 - 2 ** -24) * 2 ** 127 };
const TRUTH = { true: true, false: false, 1: true, 0: false };

/** Stands for a tensor while its file is being read. */
export class Pending extends Error {
  constructor() {
    super("the file is still being read: try again");
  }
}

/** The least and the most of an integer dtype, as BigInt; null for all others. */
export function boundsOf(dtype) {
  const match = /^(u?)int(\d+)$/.exec(dtype);
  if (!match) return null;
  const bits = BigInt(match[2]);
  return match[1] ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
}

export function isFloat(dtype) {
  return /^b?float/.test(dtype);
}

/** What one cell of text says as an element; throws an Error whose message says what was expected. */
export function readElement(text, dtype) {
  if (dtype === "string") return text;
  const said = text.trim();
  if (dtype === "bool") {
    if (Object.hasOwn(TRUTH, said.toLowerCase())) return TRUTH[said.toLowerCase()];
    throw new Error(`expected true or false, received ${quoted(said)}`);
  }
  const bounds = boundsOf(dtype);
  if (bounds) return readInteger(said, dtype, bounds);
  if (Object.hasOwn(INFINITE, said.toLowerCase())) return INFINITE[said.toLowerCase()];
  const number = Number(said);
  if (said === "" || !Number.isFinite(number) || /^[+-]?0[xob]/i.test(said)) {
    throw new Error(`expected a number, received ${quoted(said)}`);
  }
  return holdable(number, dtype);
}

/** The number, unless it is one that a float dtype would make infinite of. */
function holdable(number, dtype) {
  if (Number.isFinite(number) && Math.abs(number) >= (TOO_LARGE[dtype] ?? Infinity)) {
    throw new Error(`expected a number that ${dtype} can hold, received ${number}`);
  }
  return number;
}

function readInteger(said, dtype, [least, most]) {
  if (!/^[+-]?\d+(\.0*)?$/.test(said)) throw new Error(`expected a whole number, received ${quoted(said)}`);
  const number = BigInt(said.replace(/^\+/, "").replace(/\.0*$/, ""));
  if (number < least || number > most) {
    throw new Error(`expected a number from ${least} to ${most}, received ${quoted(said)}`);
  }
  return is64(dtype) ? number : Number(number);
}

export function is64(dtype) {
  return dtype === "int64" || dtype === "uint64";
}

export function quoted(text) {
  return text === "" ? "nothing" : `“${text.length > 40 ? `${text.slice(0, 40)}…` : text}”`;
}

/** How many elements a shape has. */
export function countOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

export function makeTensor(dtype, shape, values) {
  const Kind = TYPED[dtype];
  return { dtype, shape, data: Kind && !(values instanceof Kind) ? Kind.from(values) : values };
}

/** The same elements as another dtype, or an Error that says why that would change them. */
export function castTensor(tensor, dtype) {
  if (tensor.dtype === dtype) return tensor;
  if (tensor.dtype === "string" || dtype === "string" || tensor.dtype === "bool" || dtype === "bool") {
    throw new Error(`expected ${dtype}, received ${tensor.dtype}`);
  }
  const bounds = boundsOf(dtype);
  if (!bounds) return makeTensor(dtype, tensor.shape, Array.from(tensor.data, (value) => holdable(Number(value), dtype)));
  if (isFloat(tensor.dtype)) throw new Error(`expected ${dtype}, received ${tensor.dtype}: round it before you save it`);
  for (const value of tensor.data) {
    if (BigInt(value) < bounds[0] || BigInt(value) > bounds[1]) {
      throw new Error(`expected numbers from ${bounds[0]} to ${bounds[1]}, received ${value}`);
    }
  }
  const values = is64(dtype) ? Array.from(tensor.data, BigInt) : Array.from(tensor.data, Number);
  return makeTensor(dtype, tensor.shape, values);
}

/** One element as the predict route takes it in JSON; float32 with the fewest digits that give the same bits. */
export function writeElement(value, dtype) {
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (Number.isNaN(value)) return '"NaN"';
  if (!Number.isFinite(value)) return value > 0 ? '"Infinity"' : '"-Infinity"';
  if (Object.is(value, -0)) return "-0.0";
  return String(dtype === "float32" ? shortest(value) : value);
}

function shortest(value) {
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** A tensor in JSON: nested lists if it is small and has an element, else shape and data. */
export function writeTensor(tensor, { nestedUpTo = 256 } = {}) {
  const elements = Array.from(tensor.data, (value) => writeElement(value, tensor.dtype));
  const isPlain = elements.length > 0 && elements.length <= nestedUpTo && tensor.shape.length < 8;
  if (!isPlain) return `{"shape":${JSON.stringify(tensor.shape)},"data":[${elements.join(",")}]}`;
  let level = elements;
  for (const size of [...tensor.shape].reverse()) {
    const next = [];
    for (let at = 0; at < level.length; at += size) next.push(`[${level.slice(at, at + size).join(", ")}]`);
    level = next;
  }
  return level[0];
}

/** The least, the most and the number of NaNs; null for text and for nothing. */
export function rangeOf(tensor) {
  if (!tensor.data.length || typeof tensor.data[0] === "string" || typeof tensor.data[0] === "boolean") return null;
  let least = null;
  let most = null;
  let nans = 0;
  for (const value of tensor.data) {
    if (Number.isNaN(value)) nans += 1;
    else {
      if (least === null || value < least) least = value;
      if (most === null || value > most) most = value;
    }
  }
  return { least, most, nans };
}

/** Why a shape is not one that a spec takes; null if it is. `sizes` collects what symbolic dimensions have become. */
export function misfit(shape, spec, sizes = new Map()) {
  if (spec.shape === null) return null;
  const wanted = `[${spec.shape.map((dim) => dim ?? "?").join(", ")}]`;
  const given = `[${shape.join(", ")}]`;
  if (shape.length !== spec.shape.length) return `expected ${wanted}, received ${given}`;
  for (const [axis, dim] of spec.shape.entries()) {
    if (typeof dim === "number" && dim !== shape[axis]) return `expected ${wanted}, received ${given}`;
    if (typeof dim !== "string") continue;
    const seen = sizes.get(dim) ?? shape[axis];
    if (seen !== shape[axis]) return `expected ${dim} = ${seen}, as in another input, received ${shape[axis]}`;
    sizes.set(dim, seen);
  }
  return null;
}
