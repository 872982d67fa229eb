// What is sent: JSON, or safetensors where there is much of it and every input has a place in that format.

import { writeTensor } from "./tensors.js";

const SPELLED = {
  float32: "F32",
  float64: "F64",
  int8: "I8",
  int16: "I16",
  int32: "I32",
  int64: "I64",
  uint8: "U8",
  uint16: "U16",
  uint32: "U32",
  uint64: "U64",
};
const ALIGNMENT = 8;
const MUCH = 20_000;

/**
 * The body of a predict request: {type, body}.
 *
 * inputs: a list of [name, value], value being a tensor, or the text of one in JSON, which is sent as it stands.
 */
export function writeBody(inputs) {
  const tensors = inputs.filter(([, value]) => typeof value !== "string");
  const count = tensors.reduce((sum, [, tensor]) => sum + tensor.data.length, 0);
  const isSpelled = tensors.length === inputs.length && tensors.every(([, tensor]) => tensor.dtype in SPELLED);
  if (count > MUCH && isSpelled) return { type: "application/vnd.safetensors", body: writeSafetensors(inputs) };
  const written = inputs.map(([name, value]) => {
    const text = typeof value === "string" ? value : writeTensor(value);
    return `${JSON.stringify(name)}: ${text}`;
  });
  return { type: "application/json", body: `{"inputs": {${written.join(", ")}}}` };
}

/** Tensors by name in the format of safetensors: the length of a header, the header, the bytes. */
export function writeSafetensors(given) {
  const inputs = [...given].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT); // all aligned
  const header = Object.create(null); // an input may be called __proto__
  let end = 0;
  for (const [name, { dtype, shape, data }] of inputs) {
    header[name] = { dtype: SPELLED[dtype], shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const begin = 8 + Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const octets = new Uint8Array(begin + end).fill(0x20, 8, begin);
  new DataView(octets.buffer).setBigUint64(0, BigInt(begin - 8), true);
  octets.set(text, 8);
  let at = begin;
  for (const [, { data }] of inputs) {
    octets.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return octets;
}
