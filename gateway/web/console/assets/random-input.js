// Inputs that fit a signature: for trying out, not for measuring. Free dimensions have the sizes that the form says.

import { boundsOf, countOf, isFloat, makeTensor } from "./tensors.js";

/** The shape of an input: a free dimension has the size of its name, or of its place; a rank that is open is 1. */
export function shapeFor(spec, sizes) {
  return (spec.shape ?? [null]).map((dim, axis) => {
    if (typeof dim === "number") return dim;
    return sizes.get(dim ?? `${spec.name}/${axis}`) ?? 1;
  });
}

/** A tensor of random elements: floats from 0 to 1, integers 0 and 1, which are masks, flags and known words alike. */
export function randomTensor(spec, sizes, draw = Math.random) {
  const shape = shapeFor(spec, sizes);
  const make = elementMaker(spec.dtype, draw);
  return makeTensor(spec.dtype, shape, Array.from({ length: countOf(shape) }, make));
}

function elementMaker(dtype, draw) {
  if (dtype === "string") return () => "text";
  if (dtype === "bool") return () => draw() < 0.5;
  if (isFloat(dtype)) return () => (/^float(8|4)/.test(dtype) ? Math.round(draw()) : Number(draw().toFixed(6)));
  const [, most] = boundsOf(dtype);
  const isBig = dtype.endsWith("64");
  return () => {
    const bit = most > 0n && draw() < 0.5 ? 1 : 0;
    return isBig ? BigInt(bit) : bit;
  };
}
