// One input of the form: typed, pasted, out of a file, out of a picture, or made up.

import { CsvError, csvTensor } from "./csv.js";
import { counted } from "./elements.js";
import { ImagePanel } from "./image-panel.js";
import { readNpy } from "./npy.js";
import { castTensor, misfit, writeTensor } from "./tensors.js";

const MOST_SHOWN = 256;

export class TryField {
  constructor(fieldset) {
    this.fieldset = fieldset;
    this.spec = JSON.parse(fieldset.dataset.spec);
    this.held = null; // a tensor that is too large to be shown as text, or what is wrong with the file that was to be one
    this.json = this.part("json-text");
    this.csv = this.part("csv-text");
    this.absent = this.part("absent");
    this.says = this.part("says");
    this.faults = this.part("faults");
    for (const radio of this.sources()) radio.addEventListener("change", () => this.choose(radio.value));
    for (const text of [this.json, this.csv]) text?.addEventListener("input", () => this.hold(null));
    this.absent?.addEventListener("change", () => this.showAbsence());
    this.part("npy-file")?.addEventListener("change", (event) => this.readFile(event.target));
    const panel = this.panel("image");
    if (panel) new ImagePanel(panel, this.spec, `${fieldset.id}-image`, (made) => this.hold(made));
    this.showAbsence();
  }

  part(name) {
    return this.fieldset.querySelector(`[data-part="${name}"]`);
  }

  panel(source) {
    return this.fieldset.querySelector(`[data-panel="${source}"]`);
  }

  sources() {
    return this.fieldset.querySelectorAll(`input[type="radio"]`);
  }

  get source() {
    return this.fieldset.querySelector(`input[type="radio"]:checked`)?.value ?? "json";
  }

  choose(source) {
    for (const radio of this.sources()) radio.checked = radio.value === source;
    for (const panel of this.fieldset.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== source;
    this.hold(null);
  }

  showAbsence() {
    const body = this.part("body");
    if (this.absent && body) body.hidden = this.absent.checked;
    this.clearFaults();
  }

  /** Keep a tensor, or an Error, in place of what is typed. */
  hold(made) {
    this.held = made;
    this.clearFaults();
    this.says.textContent = "";
    if (made instanceof Error) this.showFaults([made.message]);
    else if (made && this.source !== "image") this.says.textContent = `${counted(made.data.length, "element")}, ${made.dtype} [${made.shape.join(", ")}]`;
  }

  /** Show a tensor that was made up: as text if there is not much of it, else kept and described. */
  put(tensor) {
    if (this.absent) this.absent.checked = false;
    this.showAbsence();
    this.choose("json");
    const isShort = tensor.data.length <= MOST_SHOWN;
    this.json.value = isShort ? writeTensor(tensor, { nestedUpTo: MOST_SHOWN }) : "";
    this.json.placeholder = isShort ? "" : "Too much to be shown. Type here to send something else.";
    this.hold(isShort ? null : tensor);
  }

  /** Show a value of a stored example; `text` says it in JSON. */
  putText(text) {
    if (this.absent) this.absent.checked = false;
    this.showAbsence();
    this.choose("json");
    this.json.placeholder = "";
    this.json.value = text;
  }

  leaveOut() {
    if (this.absent) this.absent.checked = true;
    this.showAbsence();
  }

  async readFile(control) {
    const [file] = control.files;
    if (!file) return;
    try {
      this.hold(castTensor(readNpy(await file.arrayBuffer()), this.spec.dtype));
    } catch (error) {
      this.hold(error);
    }
  }

  /** What is to be sent: a tensor, a text in JSON, or null to leave it out; throws an Error. */
  value(sizes) {
    if (this.absent?.checked) return null;
    const tensor = this.source === "csv" && this.csv.value.trim() ? csvTensor(this.csv.value, this.spec) : this.held;
    if (tensor instanceof Error) throw tensor;
    if (tensor) {
      const wrong = misfit(tensor.shape, this.spec, sizes);
      if (wrong) throw new Error(wrong);
      return tensor;
    }
    const missing = { csv: "paste at least one row", npy: "choose a file", image: "choose a picture" }[this.source];
    if (missing) throw new Error(missing);
    return checkedJson(this.json.value);
  }

  showFaults(messages) {
    this.faults.replaceChildren(
      ...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })),
    );
    this.faults.hidden = !messages.length;
    this.fieldset.classList.toggle("wrong", messages.length > 0);
    for (const control of [this.json, this.csv]) control?.setAttribute("aria-invalid", String(messages.length > 0));
  }

  clearFaults() {
    this.showFaults([]);
  }

  focus() {
    const control = { csv: this.csv, json: this.json }[this.source] ?? this.panel(this.source)?.querySelector("input");
    control?.focus();
    if (control === this.csv) this.select(control);
  }

  /** Mark the line of a pasted table that is wrong. */
  select(control) {
    if (!(this.wrong instanceof CsvError) || !this.wrong.row) return;
    const lines = control.value.split("\n");
    const begin = lines.slice(0, this.wrong.row - 1).join("\n").length + (this.wrong.row > 1 ? 1 : 0);
    control.setSelectionRange(begin, begin + (lines[this.wrong.row - 1] ?? "").length);
  }
}

function checkedJson(text) {
  if (!text.trim()) throw new Error("expected a value in JSON, received nothing");
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`this is no JSON: ${error.message}`);
  }
  return text.trim();
}
