// The panel that turns a picture into an input's tensor: every step is seen, and can be changed.

import { make, shown } from "./elements.js";
import { PRESETS, firstSize, pictureIn, pixelsToTensor, placeIn, readNumbers } from "./image-steps.js";
import { Pending, rangeOf } from "./tensors.js";

const MOST_SIDE = 4096;
const MOST_PIXELS = 4_000_000;
const PREVIEW_SIDE = 160;

export class ImagePanel {
  /** holder: the element to fill; spec: of the input; changed: called with a tensor, or with an Error. */
  constructor(holder, spec, id, changed) {
    this.spec = spec;
    this.id = id;
    this.picture = pictureIn(spec);
    this.changed = changed;
    this.bitmap = null;
    this.controls = new Map();
    this.canvas = make("canvas", { class: "preview", role: "img", "aria-label": "The picture as the model gets it", hidden: true });
    this.says = make("p", { class: "quiet small" }, "No picture yet.");
    holder.append(
      this.field("file", "1. A picture", make("input", { type: "file", accept: "image/*" })),
      make("div", { class: "row steps" }, ...this.sizeControls(), ...this.colourControls(), ...this.numberControls()),
      this.canvas,
      this.says,
    );
    this.controls.get("file").addEventListener("change", () => this.read());
    this.controls.get("preset").addEventListener("change", () => this.usePreset());
    holder.addEventListener("change", (event) => event.target !== this.controls.get("file") && this.draw());
    this.usePreset();
  }

  field(name, label, control) {
    control.id = `${this.id}-${name}`;
    this.controls.set(name, control);
    return make("div", { class: "field" }, make("label", { for: control.id }, label), control);
  }

  sizeControls() {
    const side = (name, label, fixed) =>
      this.field(name, label, make("input", { type: "number", min: 1, max: MOST_SIDE, readonly: fixed !== null, value: fixed ?? 224 }));
    return [
      side("height", "2. Height", this.picture.height),
      side("width", "Width", this.picture.width),
      this.field("fit", "Fitting", options({ stretch: "stretched", crop: "filled, edges cut", pad: "whole, edges black" })),
    ];
  }

  colourControls() {
    const orders = this.picture.channels === 1 ? { grey: "grey" } : { rgb: "red, green, blue", bgr: "blue, green, red" };
    return [this.field("order", "3. Channels", options(orders))];
  }

  numberControls() {
    const titles = Object.fromEntries(Object.entries(PRESETS).map(([name, preset]) => [name, preset.title]));
    const text = () => make("input", { type: "text", inputmode: "decimal", spellcheck: "false" });
    const preset = options({ ...titles, own: "as below" });
    preset.value = /^u?int/.test(this.spec.dtype) ? "raw" : "unit";
    return [
      this.field("preset", "4. Values", preset),
      this.field("divide", "divided by", text()),
      this.field("mean", "less the mean", text()),
      this.field("deviation", "over the deviation", text()),
    ];
  }

  value(name) {
    return this.controls.get(name).value;
  }

  usePreset() {
    const preset = PRESETS[this.value("preset")];
    if (!preset) return;
    this.controls.get("divide").value = preset.divide;
    for (const name of ["mean", "deviation"]) {
      const numbers = this.picture.channels === 1 ? preset[name].slice(0, 1) : preset[name];
      this.controls.get(name).value = numbers.join(", ");
    }
  }

  async read() {
    const [file] = this.controls.get("file").files;
    this.bitmap = null;
    this.canvas.hidden = true;
    this.says.textContent = file ? "Reading …" : "No picture yet.";
    this.changed(file ? new Pending() : null);
    if (!file) return;
    let bitmap = null;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      // said below
    }
    if (this.controls.get("file").files[0] !== file) return; // another one was chosen meanwhile
    this.bitmap = bitmap;
    if (!bitmap) {
      this.refuse(new Error(`${file.name} is no picture that this browser can read`));
      return;
    }
    const size = firstSize(this.picture, this.bitmap);
    this.controls.get("height").value = size.height;
    this.controls.get("width").value = size.width;
    this.draw();
  }

  draw() {
    if (!this.bitmap) return;
    try {
      this.show(this.tensor());
    } catch (error) {
      this.refuse(error);
    }
  }

  tensor() {
    const box = { height: Number(this.value("height")), width: Number(this.value("width")) };
    const isSize = (side) => Number.isInteger(side) && side >= 1 && side <= MOST_SIDE;
    if (!isSize(box.height) || !isSize(box.width) || box.height * box.width > MOST_PIXELS) {
      throw new Error(`expected sides from 1 to ${MOST_SIDE}, and at most ${MOST_PIXELS.toLocaleString("en")} pixels`);
    }
    this.canvas.height = box.height;
    this.canvas.width = box.width;
    const drawing = this.canvas.getContext("2d", { willReadFrequently: true });
    drawing.imageSmoothingQuality = "high";
    drawing.fillStyle = "black";
    drawing.fillRect(0, 0, box.width, box.height);
    const place = placeIn(this.bitmap, box, this.value("fit"));
    drawing.drawImage(this.bitmap, place.x, place.y, place.width, place.height);
    const pixels = drawing.getImageData(0, 0, box.width, box.height).data;
    const how = {
      channels: this.picture.channels,
      layout: this.picture.layout,
      order: this.value("order"),
      divide: readNumbers(this.value("divide"), { mayBeZero: false })[0],
      mean: readNumbers(this.value("mean")),
      deviation: readNumbers(this.value("deviation"), { mayBeZero: false }),
    };
    return pixelsToTensor(pixels, box, how, { dtype: this.spec.dtype, rank: this.spec.shape.length });
  }

  show(tensor) {
    const { least, most } = rangeOf(tensor);
    const scale = Math.min(1, PREVIEW_SIDE / Math.max(this.canvas.width, this.canvas.height));
    this.canvas.hidden = false;
    this.canvas.style.width = `${Math.round(this.canvas.width * scale)}px`;
    const layout = this.picture.layout === "chw" ? "channels first" : "channels last";
    const from = `${this.bitmap.width} × ${this.bitmap.height} pixels`;
    this.says.textContent =
      `${from} → ${this.spec.dtype} [${tensor.shape.join(", ")}], ${layout}, from ${shown(least)} to ${shown(most)}`;
    this.changed(tensor);
  }

  refuse(error) {
    this.canvas.hidden = true;
    this.says.textContent = "No tensor.";
    this.changed(error);
  }
}

function options(titles) {
  const select = make("select");
  for (const [value, title] of Object.entries(titles)) select.append(make("option", { value }, title));
  return select;
}
