// Single things that a device reconstructs: asked for by a box drawn on the picture, listed, marked on the picture.

import { button, card, element, paragraph, percent } from "./elements.js";
import { length } from "./geometry.js";

const LEAST = 0.02; // of the picture's side: a smaller box is a slip of the hand
const BEGIN = [0.4, 0.4, 0.6, 0.6]; // where keys begin
const STEP = 0.01;

export class Things {
  /** @param canvas the picture. @param ask called with (camera's id, {box, class} or {forget}, then). @param changed when to draw again */
  constructor(canvas, { ask, changed }) {
    Object.assign(this, { canvas, ask, changed, asking: false, box: null, from: null, said: new Map(), name: "" });
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.asking) return;
      this.from = this.#place(event);
      canvas.setPointerCapture?.(event.pointerId);
    });
    canvas.setAttribute("aria-label", "The camera's picture; arrow keys move the box, with Shift its lower right corner");
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("pointermove", (event) => this.from && this.#drag(event));
    canvas.addEventListener("pointerup", (event) => {
      if (!this.from) return;
      this.#drag(event);
      this.from = null;
      const [left, top, right, bottom] = this.box;
      if (right - left < LEAST || bottom - top < LEAST) this.box = null;
      this.changed();
    });
  }

  /** Whether a device lets one ask; a camera without a picture shows nothing to draw on. */
  static may = (camera) => Boolean(camera?.device.info?.objects_by_request);

  /** Draw boxes from now on, or no longer. */
  start(on) {
    [this.asking, this.box, this.from] = [on, null, null];
    this.canvas.tabIndex = on ? 0 : -1;
    this.changed();
  }

  /** For those who have no mouse: a box in the middle, to be moved. */
  #begin() {
    this.box = [...BEGIN];
    this.canvas.focus();
    this.changed();
  }

  #key(event) {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (!step || !this.box) return;
    const moved = this.box.map((v, i) => (event.shiftKey && i < 2 ? v : v + step[i % 2]));
    const [left, top, right, bottom] = moved;
    if (Math.min(...moved) >= 0 && Math.max(...moved) <= 1 && right - left >= LEAST && bottom - top >= LEAST) this.box = moved;
    event.preventDefault();
    this.changed();
  }

  #place({ clientX, clientY }) {
    const rect = this.canvas.getBoundingClientRect();
    const scale = Math.min(rect.width / this.canvas.width, rect.height / this.canvas.height); // as object-fit: contain has it
    const [w, h] = [this.canvas.width * scale, this.canvas.height * scale];
    const at = [(clientX - rect.left - (rect.width - w) / 2) / w, (clientY - rect.top - (rect.height - h) / 2) / h];
    return at.map((v) => Math.min(1, Math.max(0, v)));
  }

  #drag(event) {
    const [a, b] = [this.from, this.#place(event)];
    this.box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    this.changed();
  }

  /** The boxes of what is known, and the one that is being drawn, on the picture. */
  draw(camera) {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    context.lineWidth = Math.max(1, width / 400);
    context.font = `${Math.max(10, width / 60)}px system-ui, sans-serif`;
    const mark = ([left, top, right, bottom], colour, text) => {
      context.strokeStyle = context.fillStyle = colour;
      context.strokeRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
      context.fillText(text, left * width, top * height - context.lineWidth * 2);
    };
    for (const thing of camera.objects?.objects ?? []) mark(thing.box, thing.mesh ? "#ffd43b" : "#adb5bd", thing.class ?? thing.name);
    if (this.box) mark(this.box, "#e8590c", "");
  }

  #send(id, request) {
    this.said.set(id, "…");
    this.box = null;
    this.changed();
    this.ask(id, request, ({ object, error }) => {
      this.said.set(id, error ?? (object ? `${object.class ?? object.name}: ${object.note || `confidence ${percent(object.confidence)}`}` : "forgotten"));
      this.changed();
    });
  }

  /** The list, and what one may ask; null where nothing is reconstructed. */
  card(camera, unit) {
    const may = Things.may(camera);
    const known = camera.objects?.objects ?? [];
    if (!may && !known.length) return null;
    const list = element("ul", {}, ...known.map((thing) => row(thing, unit)));
    const content = [known.length ? list : paragraph("Nothing was reconstructed yet.")];
    if (may && this.asking) {
      const name = element("input", { type: "text", value: this.name, placeholder: "chair", maxLength: 64, oninput: () => (this.name = name.value) });
      name.setAttribute("aria-label", "What it is called");
      const send = button("Reconstruct", null, () => this.#send(camera.id, { box: this.box, ...(this.name.trim() && { class: this.name.trim() }) }));
      send.disabled = !this.box || this.said.get(camera.id) === "…";
      const keys = !this.box && button("Box by keys", null, () => this.#begin());
      content.push(paragraph(this.box ? "Leave a little free on every side of the thing." : "Draw a box around one thing on the picture."), element("div", { className: "downloads" }, name, send, keys));
    }
    if (may && known.length) content.push(element("div", { className: "downloads" }, button("Forget all", null, () => this.#send(camera.id, { forget: true }))));
    if (this.said.has(camera.id)) content.push(paragraph(this.said.get(camera.id)));
    content.push(paragraph("Shapes are guesses of a network that learnt from models of furniture: what is not seen is invented."));
    return card("Objects", ...content);
  }
}

function row(thing, unit) {
  const size = thing.size_m && thing.size_m.map((v) => length(v, unit)).join(" × ");
  const facts = [size, thing.mesh ? `confidence ${percent(thing.confidence)}` : null, thing.note || null];
  return element("li", { className: "note", textContent: `${thing.class ?? thing.name}: ${facts.filter(Boolean).join("; ")}` });
}
