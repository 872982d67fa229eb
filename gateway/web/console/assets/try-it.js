// The form that tries a version: it sends the ordinary predict route what the fields say, and shows the answer.

import { outputPart, placeOf, refusalPart } from "./answers.js";
import { writeBody } from "./bodies.js";
import { tableTensors } from "./csv.js";
import { make } from "./elements.js";
import { parseExactly, writeExactly } from "./exact-json.js";
import { randomTensor, shapeFor } from "./random-input.js";
import { countOf, is64 } from "./tensors.js";
import { TryField } from "./try-field.js";

const MOST_ELEMENTS = 4_000_000; // what a request may bring is less, or about as much

class TryForm {
  constructor(form) {
    this.form = form;
    this.outputs = JSON.parse(form.dataset.outputs);
    this.fields = Array.from(form.querySelectorAll("fieldset[data-spec]"), (fieldset) => new TryField(fieldset));
    this.result = document.getElementById("try-result");
    this.run = form.querySelector("[data-run]");
    this.examples = form.querySelector("[data-example]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    form.querySelector("[data-random]")?.addEventListener("click", () => this.fillRandomly());
    form.querySelector("[data-table-fill]")?.addEventListener("click", () => this.fillWithTable());
    this.examples?.addEventListener("change", () => this.fillWithExample(this.examples.value));
    for (const part of form.querySelectorAll("[data-needs-script]")) part.hidden = false;
  }

  sizes() {
    const inputs = this.form.querySelectorAll("input[data-size]");
    return new Map(Array.from(inputs, (input) => [input.dataset.size, Math.max(0, Math.trunc(Number(input.value)) || 0)]));
  }

  fillRandomly() {
    const sizes = this.sizes();
    const counts = this.fields.map((field) => countOf(shapeFor(field.spec, sizes)));
    if (Math.max(0, ...counts) > MOST_ELEMENTS) {
      this.say(`A tensor of more than ${MOST_ELEMENTS.toLocaleString("en")} elements is too much to be made up here.`);
      return;
    }
    for (const field of this.fields) {
      if (field.spec.containers.length) continue; // its example stays
      if (field.spec.optional) field.leaveOut();
      else field.put(randomTensor(field.spec, sizes));
    }
    this.say("A random input that fits the signature is filled in.");
  }

  async fillWithExample(name) {
    if (!name) return;
    const answer = await window.sardonyx.fetch(this.form.dataset.examples);
    const text = await answer.text();
    const example = answer.ok ? parseExactly(text).items.find((item) => item.name === name) : null;
    if (!example) {
      this.show("The example is gone", make("p", {}, "Load the page again to see which there are."));
      return;
    }
    for (const field of this.fields) {
      if (Object.hasOwn(example.inputs, field.spec.name)) field.putText(writeExactly(example.inputs[field.spec.name]));
      else field.leaveOut();
    }
    this.say(`The stored example ${name} is filled in.`);
  }

  fillWithTable() {
    const text = this.form.querySelector("[data-table]");
    const faults = this.form.querySelector("[data-table-faults]");
    let found = null;
    let wrong = "";
    try {
      found = tableTensors(text.value, this.fields.map((field) => field.spec));
    } catch (error) {
      wrong = error.message;
    }
    faults.replaceChildren(...(wrong ? [make("li", {}, wrong)] : []));
    faults.hidden = !wrong;
    text.setAttribute("aria-invalid", String(Boolean(wrong)));
    if (wrong) text.focus();
    if (!found) return;
    for (const field of this.fields) {
      if (found.has(field.spec.name)) field.put(found.get(field.spec.name));
      else field.leaveOut();
    }
    this.say("The table is filled in, a column in each input.");
  }

  /** The inputs by name; null if a field is wrong, which it then shows. */
  inputs() {
    const found = [];
    const sizes = new Map();
    let first = null;
    for (const field of this.fields) {
      field.clearFaults();
      field.wrong = null;
      try {
        const value = field.value(sizes);
        if (value !== null) found.push([field.spec.name, value]);
      } catch (error) {
        field.wrong = error;
        field.showFaults([error.message]);
        first ??= field;
      }
    }
    first?.focus();
    return first ? null : found;
  }

  async send() {
    const inputs = this.inputs();
    if (!inputs) {
      this.say("Nothing was sent: see what is marked.");
      return;
    }
    const { type, body } = writeBody(inputs);
    this.run.disabled = true;
    this.say("Running …");
    try {
      await this.answer(type, body);
    } catch (error) {
      this.show("The gateway did not answer", make("p", {}, error.message));
    } finally {
      this.run.disabled = false;
    }
  }

  async answer(type, body) {
    const headers = { "content-type": type, accept: "application/json, application/problem+json" };
    const began = performance.now();
    const answer = await window.sardonyx.fetch(this.form.dataset.url, { method: "POST", headers, body });
    const text = await answer.text();
    const took = performance.now() - began;
    const status = `Status ${answer.status}, ${took.toFixed(1)} ms as this page saw it`;
    if (answer.ok) this.showOutputs(status, text);
    else this.showRefusal(status, text);
  }

  showOutputs(status, text) {
    const isLarge = this.outputs.some((spec) => is64(spec.dtype));
    const { outputs } = isLarge ? parseExactly(text) : JSON.parse(text);
    const parts = this.outputs
      .filter((spec) => Object.hasOwn(outputs, spec.name))
      .map((spec) => outputPart(spec, outputs[spec.name]));
    this.show(status, ...parts);
  }

  showRefusal(status, text) {
    let problem = {};
    try {
      problem = JSON.parse(text);
    } catch {
      problem = { title: "The answer is no problem report", detail: text.slice(0, 500) };
    }
    const rest = (problem.violations ?? []).filter((fault) => !this.showFault(fault));
    this.show(status, refusalPart(problem, rest));
    this.fields.find((field) => field.fieldset.classList.contains("wrong"))?.focus();
  }

  /** Show a violation beside the field that it is about; false if there is none. */
  showFault(fault) {
    const place = placeOf(fault.path);
    const field = place && this.fields.find((each) => each.spec.name === place.name);
    if (!field) return false;
    const where = place.inside.length ? `at [${place.inside.join("][")}]: ` : "";
    const said = `${where}expected ${fault.expected}, received ${fault.received}`;
    field.showFaults([...Array.from(field.faults.children, (item) => item.textContent), said]);
    return true;
  }

  say(text) {
    this.result.replaceChildren(make("p", { class: "quiet" }, text));
  }

  show(status, ...parts) {
    this.result.replaceChildren(make("p", { class: "outcome" }, status), ...parts);
  }
}

const form = document.getElementById("try-it");
if (form) new TryForm(form);
