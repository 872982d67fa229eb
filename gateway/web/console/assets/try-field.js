// One input of the form: typed, pasted, out of a file, out of a picture, or made up.
//
// 1. What a source has given is kept for that source: it is there again when one comes back to it, and never sent in place
//    of what another source says.
// 2. A file is read while the reader goes on. What comes of it belongs to its source, unless another file was chosen since.

import { CsvError, csvTensor, listed, namesColumns } from "./csv.js";
import { counted } from "./elements.js";
import { ImagePanel } from "./image-panel.js";
import { readNpy } from "./npy.js";
import { Pending, castTensor, misfit, writeTensor } from "./tensors.js";

const MOST_SHOWN = 256;

export class TryField {
  constructor(fieldset) {
    this.fieldset = fieldset;
    this.spec = JSON.parse(fieldset.dataset.spec);
    this.held = new Map(); // by source: a tensor that no text shows, or the Error that stands in the place of one
    this.json = this.part("json-text");
    this.csv = this.part("csv-text");
    this.csvNames = this.part("csv-names");
    this.absent = this.part("absent");
    this.says = this.part("says");
    this.faults = this.part("faults");
    for (const radio of this.sources()) radio.addEventListener("change", () => this.choose(radio.value));
    this.json?.addEventListener("input", () => this.hold("json", null));
    this.csv?.addEventListener("input", () => this.readNames());
    this.csvNames?.addEventListener("change", () => this.tell());
    this.absent?.addEventListener("change", () => this.showAbsence());
    this.part("npy-file")?.addEventListener("change", (event) => this.readFile(event.target));
    const panel = this.panel("image");
    if (panel) new ImagePanel(panel, this.spec, `${fieldset.id}-image`, (made) => this.hold("image", made));
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
    this.tell();
  }

  showAbsence() {
    const body = this.part("body");
    if (this.absent && body) body.hidden = this.absent.checked;
    this.clearFaults();
  }

  /** Keep what a source has given: a tensor, an Error, or null for what its text says. */
  hold(source, made) {
    if (made) this.held.set(source, made);
    else this.held.delete(source);
    if (source === this.source) this.tell();
  }

  /** Say what the chosen source has given. */
  tell() {
    const made = this.held.get(this.source);
    this.showFaults(made instanceof Error && !(made instanceof Pending) ? [made.message] : []);
    if (this.source === "csv") this.says.textContent = this.order();
    else if (!made || made instanceof Error || this.source === "image") this.says.textContent = "";
    else this.says.textContent = `${counted(made.data.length, "element")}, ${made.dtype} [${made.shape.join(", ")}]`;
  }

  /** Look whether the first row of what was pasted names its columns; whoever knows better says so. */
  readNames() {
    this.csvNames.checked = namesColumns(this.csv.value, this.spec);
    this.tell();
  }

  /** How the columns of what was pasted are taken. */
  order() {
    if (!this.csv.value.trim()) return "";
    const { columns } = this.spec;
    if (!this.csvNames.checked) return columns ? `The columns are taken to be, in this order: ${listed(columns)}.` : "";
    if (columns) return "The columns are taken by their names.";
    return "The model does not say what its columns are called: the names are left out, and the order is the table's.";
  }

  /** Show a tensor that was made up: as text if there is not much of it, else kept and described. */
  put(tensor) {
    if (this.absent) this.absent.checked = false;
    this.showAbsence();
    this.choose("json");
    const isShort = tensor.data.length <= MOST_SHOWN;
    this.json.value = isShort ? writeTensor(tensor, { nestedUpTo: MOST_SHOWN }) : "";
    this.json.placeholder = isShort ? "" : "Too much to be shown. Type here to send something else.";
    this.hold("json", isShort ? null : tensor);
  }

  /** Show a value of a stored example; `text` says it in JSON. */
  putText(text) {
    if (this.absent) this.absent.checked = false;
    this.showAbsence();
    this.choose("json");
    this.json.placeholder = "";
    this.json.value = text;
    this.hold("json", null);
  }

  leaveOut() {
    if (this.absent) this.absent.checked = true;
    this.showAbsence();
  }

  async readFile(control) {
    const [file] = control.files;
    const reading = file ? new Pending() : null;
    this.hold("npy", reading);
    if (!file) return;
    let made;
    try {
      made = castTensor(readNpy(await file.arrayBuffer()), this.spec.dtype);
    } catch (error) {
      made = error;
    }
    if (this.held.get("npy") === reading) this.hold("npy", made);
  }

  /** What is to be sent: a tensor, a text in JSON, or null to leave it out; throws an Error. */
  value(sizes) {
    if (this.absent?.checked) return null;
    const isTable = this.source === "csv" && this.csv.value.trim();
    const tensor = isTable ? csvTensor(this.csv.value, this.spec, this.csvNames.checked) : this.held.get(this.source);
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
