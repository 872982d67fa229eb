// From the pixels of a picture to a tensor, step by step: resized (where), normalised (how), laid out (in which order).

import { boundsOf, makeTensor } from "./tensors.js";

export const PRESETS = {
  unit: { title: "0 to 1", divide: 255, mean: [0, 0, 0], deviation: [1, 1, 1] },
  signed: { title: "-1 to 1", divide: 255, mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
  imagenet: { title: "ImageNet", divide: 255, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  raw: { title: "0 to 255", divide: 1, mean: [0, 0, 0], deviation: [1, 1, 1] },
};

const MOST_CHANNELS = 4;
const DEFAULT_SIDE = 224;

/** How an input may hold a picture: {layout, channels, height, width}, free sizes null; null if it cannot. */
export function pictureIn(spec) {
  const dims = spec.shape;
  const isNumber = boundsOf(spec.dtype) || /^float(16|32|64)$/.test(spec.dtype);
  if (spec.containers?.length || !dims || dims.length < 3 || dims.length > 4 || !isNumber) return null;
  const inner = dims.slice(-3);
  if (dims.length === 4 && typeof dims[0] === "number" && dims[0] !== 1) return null;
  const isChannels = (dim) => typeof dim === "number" && [1, 3, MOST_CHANNELS].includes(dim);
  const sizes = inner.map((dim) => (typeof dim === "number" ? dim : null));
  if (isChannels(inner[0])) return { layout: "chw", channels: sizes[0], height: sizes[1], width: sizes[2] };
  if (isChannels(inner[2])) return { layout: "hwc", channels: sizes[2], height: sizes[0], width: sizes[1] };
  return null;
}

/** The size to begin with: what the signature fixes, else the picture's own, kept within bounds. */
export function firstSize(picture, natural) {
  const side = (fixed, own) => fixed ?? Math.max(1, Math.min(own || DEFAULT_SIDE, 1024));
  const height = side(picture.height, natural.height);
  if (picture.width !== null || picture.height === null) return { height, width: side(picture.width, natural.width) };
  return { height, width: Math.max(1, Math.round((natural.width / natural.height) * height)) };
}

/** Where a picture is drawn in a box: stretched, whole within it (the rest stays black), or filling it. */
export function placeIn(natural, box, fit) {
  if (fit === "stretch") return { x: 0, y: 0, width: box.width, height: box.height };
  const ratios = [box.width / natural.width, box.height / natural.height];
  const scale = fit === "pad" ? Math.min(...ratios) : Math.max(...ratios);
  const width = natural.width * scale;
  const height = natural.height * scale;
  return { x: (box.width - width) / 2, y: (box.height - height) / 2, width, height };
}

/** The channels of one pixel, in the order that is wanted. */
function channelsOf(red, green, blue, alpha, count, order) {
  if (count === 1) return [0.299 * red + 0.587 * green + 0.114 * blue];
  const three = order === "bgr" ? [blue, green, red] : [red, green, blue];
  return count === 3 ? three : [...three, alpha];
}

/**
 * The tensor of a picture.
 *
 * pixels: RGBA, row by row, as a canvas gives them. how: {channels, order, divide, mean, deviation, layout}; each value is
 * (pixel / divide - mean) / deviation, for integers rounded to what the dtype can hold.
 */
export function pixelsToTensor(pixels, { height, width }, how, { dtype, rank }) {
  const area = height * width;
  const values = new Float64Array(area * how.channels);
  for (let place = 0; place < area; place += 1) {
    const [red, green, blue, alpha] = pixels.subarray(place * 4, place * 4 + 4);
    const found = channelsOf(red, green, blue, alpha, how.channels, how.order);
    for (let channel = 0; channel < how.channels; channel += 1) {
      const at = how.layout === "chw" ? channel * area + place : place * how.channels + channel;
      const mean = how.mean[channel] ?? how.mean[0];
      values[at] = (found[channel] / how.divide - mean) / (how.deviation[channel] ?? how.deviation[0]);
    }
  }
  const inner = how.layout === "chw" ? [how.channels, height, width] : [height, width, how.channels];
  const shape = rank === 4 ? [1, ...inner] : inner;
  return makeTensor(dtype, shape, rounded(values, dtype));
}

function rounded(values, dtype) {
  const bounds = boundsOf(dtype);
  if (!bounds) return Array.from(values);
  const [least, most] = bounds.map(Number);
  const whole = Array.from(values, (value) => Math.min(most, Math.max(least, Math.round(value))));
  return dtype.endsWith("64") ? whole.map(BigInt) : whole;
}

/** Numbers parted by commas or spaces; throws an Error. */
export function readNumbers(text, { mayBeZero = true } = {}) {
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (!numbers.length || numbers.some((number) => !Number.isFinite(number) || (!mayBeZero && number === 0))) {
    throw new Error(`expected numbers${mayBeZero ? "" : " other than 0"}, parted by commas`);
  }
  return numbers;
}
