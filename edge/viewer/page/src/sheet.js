// A blank sheet of paper on the floor: its corners, clicked on the picture, say how the camera hangs. The server works it out.

import { $, button, card, choice, element, fill, lines, paragraph, shape } from "./elements.js";

const PAPERS = [["a4", "A4"], ["letter", "Letter"], ["a3", "A3"]];
const HIT_PX = 22; // of the screen: half of a target that a finger meets, once there are four
const RING_PX = 8;
const [LOUPE_PX, LOUPE_ZOOM] = [110, 4];
const BEGIN = [[0.42, 0.62], [0.58, 0.62], [0.62, 0.78], [0.38, 0.78]]; // where keys begin
const SETTLE_MS = 400; // after the last key

export class Sheet {
  /**
   * @param frame what holds the picture's canvas and the drawing over it
   * @param ask called with ({camera, paper, corners}, then); then with {lines, told, doubts} or {error}
   * @param changed when to draw again
   */
  constructor(frame, { ask, changed }) {
    Object.assign(this, { canvas: frame.querySelector("canvas"), svg: frame.querySelector("svg"), ask, changed });
    Object.assign(this, { adding: false, waiting: false, camera: null, paper: "a4", held: -1 });
    this.#forget();
    for (const [kind, act] of Object.entries({ pointerdown: this.#down, pointermove: this.#move, pointerup: this.#up, pointercancel: this.#up }))
      this.svg.addEventListener(kind, (event) => act.call(this, event));
    for (const kind of ["focusin", "focusout"]) this.svg.addEventListener(kind, () => requestAnimationFrame(() => this.looked !== this.#looked() && this.#draw()));
    new ResizeObserver(() => this.#draw()).observe(frame);
  }

  #forget() {
    Object.assign(this, { corners: [], answer: null, outdated: Boolean(this.waiting) });
  }

  /** Take corners from now on, or no longer. */
  start(on) {
    this.adding = on;
    this.#forget();
    this.changed();
  }

  /** Another connection: what was asked on the last one is not answered. */
  reconnected() {
    const asked = this.waiting;
    this.waiting = false;
    if (asked) this.#send();
  }

  /** The corners over the picture of a camera, and the panel beside it. */
  show(camera) {
    if (this.camera?.id !== camera?.id) this.#forget();
    this.camera = camera;
    this.#draw();
    this.#panel();
  }

  // On the picture -----------------------------------------------------------------------------------------------------

  #draw() {
    const on = this.adding && this.camera?.url;
    this.svg.toggleAttribute("hidden", !on);
    if (!on) return;
    const { width, height } = this.canvas;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const px = width / (this.svg.getBoundingClientRect().width || width); // of the picture for one of the screen
    const at = this.corners.map(([x, y]) => [x * width, y * height]);
    const rings = at.map(([x, y], i) => {
      const ring = shape("g", { class: "corner", tabindex: 0, role: "button", "aria-label": `Corner ${i + 1}; arrow keys move it, with Shift farther` });
      ring.append(shape("circle", { cx: x, cy: y, r: RING_PX * px }), shape("circle", { cx: x, cy: y, r: 1.2 * px, class: "dot" }));
      ring.onkeydown = (event) => this.#key(event, i);
      return ring;
    });
    const outline = at.length > 1 && shape("polygon", { points: around(at).map((p) => p.join()).join(" "), class: "outline" });
    fill(this.svg, outline, ...rings);
    this.looked = this.#looked();
    if (at[this.looked]) this.svg.append(this.#loupe(at[this.looked], px));
  }

  #looked = () => (this.held >= 0 ? this.held : [...this.svg.querySelectorAll(".corner")].indexOf(document.activeElement));

  /** What is around a corner, larger, in the picture's upper corner that is farther from it. */
  #loupe([x, y], px) {
    const { width, height } = this.canvas;
    const [size, part] = [LOUPE_PX * px, (LOUPE_PX * px) / LOUPE_ZOOM];
    const left = x > width / 2 ? 0 : width - size;
    const loupe = shape("svg", { x: left, y: 0, width: size, height: size, viewBox: `${x - part / 2} ${y - part / 2} ${part} ${part}`, class: "loupe" });
    const cross = `M${x - part / 2} ${y}h${part}M${x} ${y - part / 2}v${part}`;
    const frame = { x: x - part / 2, y: y - part / 2, width: part, height: part, class: "outline", fill: "none" };
    loupe.append(shape("image", { href: this.camera.url, width, height }), shape("path", { d: cross }), shape("rect", frame));
    return loupe;
  }

  #place({ clientX, clientY }) {
    const box = this.svg.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  #down(event) {
    const box = this.svg.getBoundingClientRect();
    const at = this.#place(event);
    const far = this.corners.map(([x, y]) => Math.hypot((x - at[0]) * box.width, (y - at[1]) * box.height));
    const nearest = far.indexOf(Math.min(...far));
    if (far[nearest] <= (this.corners.length < 4 ? RING_PX : HIT_PX)) this.held = nearest; // far sheets are small
    else if (this.corners.length < 4) this.held = this.corners.push(at) - 1;
    else return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    const from = this.corners[this.held];
    this.off = [from[0] - at[0], from[1] - at[1]]; // a finger beside a corner takes it along, not to itself
    this.#draw();
    this.svg.querySelectorAll(".corner")[this.held].focus();
  }

  #move(event) {
    if (this.held < 0) return;
    const at = this.#place(event);
    this.#put(this.held, [at[0] + this.off[0], at[1] + this.off[1]]);
    this.#draw();
  }

  #up() {
    if (this.held < 0) return;
    this.held = -1;
    this.#moved();
  }

  #key(event, i) {
    const { width, height } = this.canvas;
    const far = event.shiftKey ? 10 : 1;
    const step = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
    if (step) this.#put(i, [this.corners[i][0] + step[0] / width, this.corners[i][1] + step[1] / height]);
    else if (event.key === "Delete") this.corners.splice(i, 1);
    else return;
    event.preventDefault();
    this.#draw();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.#moved(), SETTLE_MS);
  }

  #put(i, at) {
    this.corners[i] = at.map((v) => Math.min(1, Math.max(0, v)));
  }

  /** For those who have no mouse: all four at once, to be moved. */
  #begin() {
    this.corners.push(...BEGIN.slice(this.corners.length));
    this.#moved();
    this.svg.querySelector(".corner")?.focus();
  }

  // What it comes to ---------------------------------------------------------------------------------------------------

  #moved() {
    this.answer = null;
    this.#send();
    this.changed();
  }

  /** Ask the server, one thing after the other; of several the last. */
  #send() {
    this.outdated = this.waiting;
    if (this.waiting || this.corners.length < 4) return;
    this.waiting = true;
    this.ask({ camera: this.camera.id, paper: this.paper, corners: this.corners }, (answer) => {
      this.waiting = false;
      if (this.outdated) this.#send();
      else this.answer = answer;
      this.changed();
    });
  }

  #panel() {
    $("sheet").hidden = !this.adding;
    window.state.sheet = this.adding ? { corners: this.corners, ...this.answer } : null;
    const { camera, corners, answer } = this;
    const shown = this.adding && JSON.stringify([camera?.id, Boolean(camera?.url), corners.length, answer, this.waiting]);
    if (!shown || shown === this.shown) { // a list that is open would be closed
      this.shown = shown;
      return;
    }
    this.shown = shown;
    const left = 4 - corners.length;
    const hint = !camera?.url
      ? "This camera's picture is not published: add picture: {} to its configuration."
      : left
        ? `Lay a blank sheet flat on a floor that is darker than it, and click its four corners: ${left} to go.`
        : "Drag a corner, or move it by arrow keys, where it is not on the sheet's.";
    const size = choice("Size of the sheet", PAPERS, this.paper, (paper) => {
      this.paper = paper;
      this.#moved();
    });
    const keys = camera?.url && left > 0 && button("Corners by keys", null, () => this.#begin());
    const again = corners.length > 0 && button("Start again", null, () => (this.#forget(), this.changed()));
    const content = [size, paragraph(hint), element("div", { className: "downloads" }, keys, again)];
    if (this.waiting) content.push(paragraph("…"));
    if (answer?.error) content.push(paragraph(answer.error, "note wrong"));
    if (answer?.lines) {
      for (const doubt of answer.doubts) content.push(paragraph(`Not to be believed: ${doubt}`, "note wrong"));
      content.push(...answer.told.map((said) => paragraph(said)));
      content.push(lines(answer.lines, `Into config.yaml, at camera ${camera.name}, in place of its lines of the same names:`));
    }
    fill($("sheet"), ...card("Sheet on the floor", ...content).children);
  }
}

/** Places in order around their middle, so that lines through them do not cross. */
function around(places) {
  const [mx, my] = [0, 1].map((k) => places.reduce((sum, p) => sum + p[k], 0) / places.length);
  return [...places].sort((a, b) => Math.atan2(a[1] - my, a[0] - mx) - Math.atan2(b[1] - my, b[0] - mx));
}
