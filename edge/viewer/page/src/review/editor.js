// The picture with the room's edges on it, and corners to drag: one canvas, for mouse, finger and keyboard.

import { PICTURE_WH, moveCeiling, moveFloor, seen } from "./corners.js";

const HIT_PX = 22; // half of a target that a finger meets
const HANDLE_PX = 6;
const SAMPLES = 64;
const [LOUPE_PX, LOUPE_ZOOM] = [56, 2.5];
const COLOURS = { floor: "#ff6b35", ceiling: "#38d9a9", wall: "#ffffff", before: "#ffffffb0" };

export class Editor {
  /**
   * @param canvas where it is drawn
   * @param onChange called with (room, done) while and after something was dragged
   * @param onSelect called with a corner's number
   * @param onAdd called with a column, a fraction of the width, that was pressed twice
   */
  constructor(canvas, { onChange, onSelect, onAdd }) {
    Object.assign(this, { canvas, onChange, onSelect, onAdd });
    this.room = this.before = this.image = this.edges = null;
    this.selected = 0;
    this.editable = false;
    this.showEdges = false;
    this.pointers = new Map();
    this.reset();
    for (const [kind, act] of Object.entries({ pointerdown: this.#down, pointermove: this.#move, pointerup: this.#up, pointercancel: this.#up }))
      canvas.addEventListener(kind, (event) => act.call(this, event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => this.editable && this.onAdd(this.#spot(event)[0]));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** The whole height of the picture, its middle in the middle. */
  reset() {
    this.zoom = 1;
    this.left = null;
    this.top = 0;
  }

  /** Another picture, with the room as it was inferred. */
  show(image, room, editable) {
    Object.assign(this, { image, room, before: room, editable, selected: 0, edges: null });
    this.reset();
    this.draw();
  }

  /** Where the handles are, in px of the page. */
  handles() {
    if (!this.room || !this.editable) return [];
    const { cameraHeight, ceilingHeight, corners } = this.room;
    const place = (corner, z) => this.onPage(seen(corner, z, cameraHeight));
    return corners.map((corner) => ({ floor: place(corner, 0), ceiling: place(corner, ceilingHeight) }));
  }

  /** Where a place on the picture is, in px of the page. */
  onPage(spot) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = this.#screen(spot);
    return [x + box.left, y + box.top];
  }

  zoomBy(factor, at = null) {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [x, y] = at ?? [w / 2, h / 2];
    const before = this.#place([x, y]);
    this.zoom = Math.min(12, Math.max(Math.min(1, w / (2 * h)), this.zoom * factor));
    const size = this.#size();
    this.left = before[0] - x / size[0];
    this.top = before[1] - y / size[1];
    this.draw();
  }

  // Places: screen px of the canvas <-> fractions of the picture ------------------------------------------------------

  #size() {
    const high = this.canvas.clientHeight * this.zoom;
    return [high * 2, high];
  }

  #place([x, y]) {
    const [w, h] = this.#size();
    return [this.left + x / w, this.top + y / h];
  }

  #screen([u, v]) {
    const [w, h] = this.#size();
    let across = u - this.left;
    across -= Math.floor(across);
    const shown = this.canvas.clientWidth / w;
    if (across > (1 + shown) / 2) across -= 1; // the nearer side of what is shown
    return [across * w, (v - this.top) * h];
  }

  #spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.#place([event.clientX - box.left, event.clientY - box.top]);
  }

  #nearest(event) {
    const found = this.handles().flatMap(({ floor, ceiling }, corner) => [
      { corner, end: "floor", off: Math.hypot(floor[0] - event.clientX, floor[1] - event.clientY) },
      { corner, end: "ceiling", off: Math.hypot(ceiling[0] - event.clientX, ceiling[1] - event.clientY) },
    ]);
    const best = found.reduce((a, b) => (b.off < a.off ? b : a), { off: Infinity });
    return best.off <= HIT_PX ? best : null;
  }

  // Pointers -----------------------------------------------------------------------------------------------------------

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size > 1) {
      this.held = null;
      return;
    }
    const handle = this.#nearest(event);
    this.held = handle && { ...handle, from: this.#spot(event), start: this.#ends(handle), touch: event.pointerType === "touch" };
    if (handle) {
      this.selected = handle.corner;
      this.onSelect(handle.corner);
      this.draw();
    }
  }

  #ends({ corner, end }) {
    return seen(this.room.corners[corner], end === "floor" ? 0 : this.room.ceilingHeight, this.room.cameraHeight);
  }

  #move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY];
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 2) this.#pinch(event.pointerId, last, now);
    else if (this.held) {
      const to = this.#spot(event);
      const { start, from, corner, end } = this.held;
      this.drag(corner, end, [start[0] + to[0] - from[0], start[1] + to[1] - from[1]], false);
      this.held.at = now;
    } else {
      const [w, h] = this.#size();
      this.left -= (now[0] - last[0]) / w;
      this.top -= (now[1] - last[1]) / h;
    }
    this.draw();
  }

  #pinch(id, last, now) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    const box = this.canvas.getBoundingClientRect();
    const apart = ([x, y]) => Math.max(20, Math.hypot(x - other[0], y - other[1]));
    this.zoomBy(apart(now) / apart(last), [(now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top]);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    const moved = this.held?.at;
    this.held = null;
    if (moved) this.onChange(this.room, true);
    this.draw();
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.zoomBy(Math.exp(-event.deltaY / 400), [event.clientX - box.left, event.clientY - box.top]);
  }

  /** An end of a corner goes to a place on the picture. */
  drag(corner, end, spot, done) {
    this.room = (end === "floor" ? moveFloor : moveCeiling)(this.room, corner, spot);
    this.onChange(this.room, done);
  }

  /** An end of the selected corner goes so many px of the picture to the right and down. */
  nudge(end, [dx, dy]) {
    const [u, v] = this.#ends({ corner: this.selected, end });
    this.drag(this.selected, end, [u + dx / PICTURE_WH[0], v + dy / PICTURE_WH[1]], true);
    this.draw();
  }

  // Drawing ------------------------------------------------------------------------------------------------------------

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.#draw();
    });
  }

  #draw() {
    const { canvas, image } = this;
    const [cw, ch] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = Math.min(devicePixelRatio, 2);
    [canvas.width, canvas.height] = [Math.round(cw * ratio), Math.round(ch * ratio)];
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    if (!image || !cw || !ch) return;
    if (!this.editable) return this.#whole(context, cw, ch);
    const [w, h] = this.#size();
    this.left ??= 0.5 - cw / w / 2;
    this.left -= Math.floor(this.left);
    this.top = h <= ch ? (1 - ch / h) / 2 : Math.min(1 - ch / h, Math.max(0, this.top));
    const layers = [image, ...(this.showEdges ? [(this.edges ??= outlines(image))] : [])];
    for (let x = -this.left * w; x < cw; x += w) for (const layer of layers) context.drawImage(layer, x, -this.top * h, w, h);
    this.#lines(context, this.before, true);
    this.#lines(context, this.room, false);
    this.#drawHandles(context);
    if (this.held?.touch && this.held.at) this.#loupe(context, ratio);
  }

  #whole(context, cw, ch) {
    const by = Math.min(cw / this.image.width, ch / this.image.height);
    const [w, h] = [this.image.width * by, this.image.height * by];
    context.drawImage(this.image, (cw - w) / 2, (ch - h) / 2, w, h);
  }

  #lines(context, room, before) {
    const { corners, cameraHeight, ceilingHeight } = room;
    context.setLineDash(before ? [5, 6] : []);
    context.lineWidth = before ? 1.2 : 2;
    corners.forEach((a, i) => {
      const b = corners[(i + 1) % corners.length];
      for (const [name, z] of [["floor", 0], ["ceiling", ceilingHeight]]) {
        const hidden = !before && a[`${name}Hidden`];
        const points = Array.from({ length: SAMPLES + 1 }, (_, k) => ({ x: a.x + ((b.x - a.x) * k) / SAMPLES, y: a.y + ((b.y - a.y) * k) / SAMPLES }));
        context.globalAlpha = hidden ? 0.35 : 1;
        this.#path(context, points.map((p) => seen(p, z, cameraHeight)), before ? COLOURS.before : COLOURS[name]);
      }
      context.globalAlpha = 1;
      if (!before) this.#path(context, [seen(a, 0, cameraHeight), seen(a, ceilingHeight, cameraHeight)], COLOURS.wall);
    });
    context.setLineDash([]);
  }

  /** A line through places, broken where the picture's seam is between two of them. */
  #path(context, places, colour) {
    const [w] = this.#size();
    context.strokeStyle = colour;
    context.beginPath();
    let last = null;
    for (const place of places) {
      const [x, y] = this.#screen(place);
      if (last !== null && Math.abs(x - last) < w / 2) context.lineTo(x, y);
      else context.moveTo(x, y);
      last = x;
    }
    context.stroke();
  }

  #drawHandles(context) {
    const { corners, cameraHeight, ceilingHeight } = this.room;
    corners.forEach((corner, i) => {
      for (const [name, z] of [["floor", 0], ["ceiling", ceilingHeight]]) {
        const [x, y] = this.#screen(seen(corner, z, cameraHeight));
        context.beginPath();
        context.arc(x, y, i === this.selected ? HANDLE_PX + 2 : HANDLE_PX, 0, 2 * Math.PI);
        context.fillStyle = COLOURS[name];
        context.fill();
        context.lineWidth = i === this.selected ? 3 : 1.5;
        context.strokeStyle = i === this.selected ? "#ffffff" : "#000000a0";
        context.stroke();
      }
    });
  }

  /** What the finger hides, larger, in the corner that is farther from it. */
  #loupe(context, ratio) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [this.held.at[0] - box.left, this.held.at[1] - box.top];
    const cx = x < box.width / 2 ? box.width - LOUPE_PX - 8 : LOUPE_PX + 8;
    const cy = LOUPE_PX + 8;
    const reach = LOUPE_PX / LOUPE_ZOOM;
    const copy = Object.assign(document.createElement("canvas"), { width: 2 * LOUPE_PX, height: 2 * LOUPE_PX });
    copy.getContext("2d").drawImage(this.canvas, (x - reach) * ratio, (y - reach) * ratio, 2 * reach * ratio, 2 * reach * ratio, 0, 0, 2 * LOUPE_PX, 2 * LOUPE_PX);
    context.save();
    context.beginPath();
    context.arc(cx, cy, LOUPE_PX, 0, 2 * Math.PI);
    context.clip();
    context.drawImage(copy, cx - LOUPE_PX, cy - LOUPE_PX);
    context.restore();
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2;
    context.stroke();
  }
}

/** Where a picture's brightness changes (Sobel), as a layer to lay over it. */
function outlines(image) {
  const [w, h] = [image.width, image.height];
  const layer = Object.assign(document.createElement("canvas"), { width: w, height: h });
  const context = layer.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, w, h);
  const grey = Float32Array.from({ length: w * h }, (_, i) => 0.3 * data.data[4 * i] + 0.59 * data.data[4 * i + 1] + 0.11 * data.data[4 * i + 2]);
  const edge = context.createImageData(w, h);
  for (let y = 1; y < h - 1; y++) {
    for (let x = 0; x < w; x++) {
      const [l, r] = [(x + w - 1) % w, (x + 1) % w];
      const g = (dx, dy) => grey[(y + dy) * w + dx];
      const across = g(r, -1) + 2 * g(r, 0) + g(r, 1) - g(l, -1) - 2 * g(l, 0) - g(l, 1);
      const down = g(l, 1) + 2 * g(x, 1) + g(r, 1) - g(l, -1) - 2 * g(x, -1) - g(r, -1);
      const strength = Math.hypot(across, down);
      if (strength > 60) edge.data.set([90, 200, 255, Math.min(255, strength)], 4 * (y * w + x));
    }
  }
  context.putImageData(edge, 0, 0);
  return layer;
}
