// Several rooms beside each other as one home: dragged, turned, snapped wall to wall, and kept where the page is served.

import { button, card, choice, element, fill, paragraph, rows, shape } from "./elements.js";
import { area, length, volume } from "./geometry.js";
import { drawnOpening } from "./plan.js";

const STEP_M = 0.05;
const NEW = "Home";
const REMOVED = "removed";
const empty = (name) => ({ name, wall_thickness_m: 0.1, rooms: [], area_m2: 0, rooms_area_m2: 0, volume_m3: 0, overlaps: [], shared_walls: [], passages: [] });

export class HomeView {
  /** @param ask sends a draft to the server. @param cameras gives all of them. @param changed: numbers are to be drawn */
  constructor(host, { ask, cameras, changed }) {
    Object.assign(this, { host, ask, cameras, changed });
    this.saved = new Map();
    this.home = empty(NEW);
    this.chosen = -1;
    this.dirty = false;
    this.problem = null;
    this.said = "";
    this.unit = "m";
    this.reconnected();
  }

  /** Nothing that was asked will be answered any more. */
  reconnected() {
    this.busy = false;
    this.queue = [];
    this.edited = new Set(); // rooms that were moved since the server was asked
  }

  /** A home as it was saved somewhere; null: it is gone. */
  heard(name, message) {
    if (message) this.saved.set(name, message);
    else this.saved.delete(name);
    const untouched = !this.dirty && (this.home.name === name || !this.home.rooms.length);
    if (message && untouched) this.open(name);
    else if (!this.dragging) this.draw();
  }

  open(name) {
    this.home = structuredClone(this.saved.get(name) ?? empty(name));
    this.chosen = -1;
    this.dirty = false;
    this.fitted = null;
    this.draw();
  }

  /** What the server made of a draft. */
  answered({ home, saved, error }) {
    this.problem = error ?? null;
    this.busy = false;
    if (saved && !home) this.open(NEW);
    else if (home) this.#take(home, saved);
    else this.draw();
    const next = this.queue.shift();
    if (next) this.#do(...next);
  }

  #take(home, saved) {
    const grown = home.rooms.length > this.home.rooms.length;
    if (home.rooms.length < this.home.rooms.length || this.edited.has(REMOVED)) return; // rooms changed meanwhile: what waits measures them
    for (const i of this.edited) {
      const { x_m, y_m, turn_deg } = this.home.rooms[i];
      Object.assign(home.rooms[i], { x_m, y_m, turn_deg });
    }
    this.home = home;
    this.dirty = !saved || this.edited.size > 0;
    this.said = saved ? "saved" : "";
    if (grown) {
      this.chosen = home.rooms.length - 1;
      this.fitted = null;
    }
    this.draw();
  }

  /** Ask the server, one thing after the other; of measuring the last counts. */
  #do(what, more = {}) {
    this.dirty = this.dirty || what !== "save";
    if (this.busy) {
      if (what !== "measure" || this.queue.at(-1)?.[0] !== "measure") this.queue.push([what, more]);
      return;
    }
    const { name, wall_thickness_m, rooms } = this.home;
    this.busy = true;
    this.edited.clear();
    this.ask({ do: what, name, wall_thickness_m, rooms, ...more });
  }

  /** Draw if another room can be added now. */
  refresh() {
    if (!this.dragging && this.offered !== this.#offers().map((c) => c.id).join()) this.draw();
  }

  #offers = () => this.cameras().filter((c) => c.layout?.metric);

  draw() {
    this.offered = this.#offers().map((c) => c.id).join();
    window.state.home = { name: this.home.name, rooms: this.home.rooms.length, area_m2: this.home.area_m2, dirty: this.dirty, problem: this.problem, passages: this.home.passages.length, overlaps: this.home.overlaps.length };
    if (!this.host.hidden && !this.dragging) {
      fill(this.host, this.#bar(), this.#drawing(), this.#roomBar());
    }
    this.changed();
  }

  #bar() {
    const names = [...new Set([...this.saved.keys(), this.home.name])];
    const pick = names.length > 1 ? choice("Home", names.map((n) => [n, n]), this.home.name, (name) => this.open(name)) : null;
    const name = element("input", { value: this.home.name, maxLength: 60, size: 12, onchange: ({ target }) => {
      this.home.name = target.value.replace(/[/+#$]/g, "").trim() || NEW;
      this.dirty = true;
      this.draw();
    } });
    name.setAttribute("aria-label", "Name of this home");
    const offers = this.#offers();
    const shared = (c) => offers.some((other) => other !== c && other.name === c.name);
    const add = offers.map((c) => button(`+ ${shared(c) ? c.id : c.name}`, null, () => this.#do("place", { room: c.id })));
    return element("div", { className: "bar" }, pick, name, ...add, this.home.rooms.length > 0 && button("Save", this.dirty, () => this.#do("save")), this.saved.has(this.home.name) && button("Delete", null, () => confirm(`Delete ${this.home.name}?`) && this.#do("remove")), this.saved.size > 0 && button("New", null, () => this.open(this.saved.has(NEW) ? `${NEW} ${this.saved.size + 1}` : NEW)));
  }

  #roomBar() {
    const room = this.home.rooms[this.chosen];
    if (!room) {
      const hint = this.home.rooms.length ? "Drag rooms; a wall near another snaps to it. Click one to turn or rename it." : "Add rooms above. A door that two rooms have tells where the second one is.";
      return element("div", { className: "bar low" }, paragraph(this.problem ?? hint, this.problem ? "note wrong" : "note"));
    }
    const turn = (by) => button(`${by > 0 ? "⟲" : "⟳"} ${Math.abs(by)}°`, null, () => this.#turn(this.chosen, by));
    const name = element("input", { value: room.name, maxLength: 60, size: 10, onchange: ({ target }) => {
      room.name = target.value.trim() || room.camera;
      this.#do("measure");
    } });
    name.setAttribute("aria-label", "Name of this room");
    const anew = this.cameras().find((c) => c.id === `${room.device}/${room.camera}`)?.layout?.captured_at > (room.captured_at ?? "");
    return element("div", { className: "bar low" }, name, turn(90), turn(1), turn(-1), turn(-90), button("Snap", null, () => this.#do("snap", { index: this.chosen })), button("Remove", null, () => this.#remove(this.chosen)), anew && paragraph(`as it was at ${room.captured_at.slice(11, 16)}; remove and add it for its shape now`), this.problem && paragraph(this.problem, "note wrong"));
  }

  #turn(index, degrees) {
    const room = this.home.rooms[index];
    const [cx, cy] = centre(room);
    const [before, after] = [room.turn_deg, room.turn_deg + degrees].map((d) => (d * Math.PI) / 180);
    room.x_m += Math.cos(before) * cx - Math.sin(before) * cy - Math.cos(after) * cx + Math.sin(after) * cy;
    room.y_m += Math.sin(before) * cx + Math.cos(before) * cy - Math.sin(after) * cx - Math.cos(after) * cy;
    this.edited.add(index);
    room.turn_deg = ((((room.turn_deg + degrees + 180) % 360) + 360) % 360) - 180;
    this.#do("measure");
  }

  #remove(index) {
    this.home.rooms.splice(index, 1);
    this.edited.add(REMOVED);
    this.chosen = -1;
    this.#do("measure");
  }

  #drawing() {
    const { rooms, overlaps } = this.home;
    const corners = rooms.flatMap((room) => room.polygon_m.map((p) => toHome(room, p)));
    const [xs, ys] = [0, 1].map((i) => corners.map((p) => p[i]));
    if (!this.fitted) {
      const [left, right, low, high] = corners.length ? [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)] : [-4, 4, -3, 3];
      const margin = 0.12 * Math.max(right - left, high - low);
      this.fitted = [left - margin, -high - margin, right - left + 2 * margin, high - low + 2 * margin];
    }
    const span = Math.max(this.fitted[2], this.fitted[3]);
    const svg = shape("svg", { viewBox: this.fitted.join(" "), class: "plan home", role: "group", "aria-label": `Plan of ${this.home.name}` });
    const over = new Set(overlaps.flatMap(({ rooms: pair }) => pair));
    rooms.forEach((room, i) => svg.append(this.#room(svg, room, i, span, over.has(i))));
    svg.onpointerdown = ({ target }) => {
      if (target === svg && this.chosen >= 0) {
        this.chosen = -1;
        this.draw();
      }
    };
    return svg;
  }

  #room(svg, room, index, span, over) {
    const chosen = index === this.chosen;
    const group = shape("g", { transform: placement(room), class: `placed${chosen ? " chosen" : ""}${over ? " over" : ""}`, tabindex: 0, role: "button", "aria-label": `${room.name}; arrow keys move it, Q and E turn it`, "data-room": index });
    const points = room.polygon_m.map(([x, y]) => `${x},${-y}`).join(" ");
    group.append(shape("polygon", { points, class: "floor" }), shape("polygon", { points, class: "wall", fill: "none", "stroke-width": span * 0.01 }));
    for (const one of room.openings) group.append(drawnOpening({ ...one, ends: [one.start_m, one.end_m] }, span * 0.6, this.unit));
    const [x, y] = centre(room);
    const text = { x, "text-anchor": "middle", "font-size": Math.min(span * 0.03, 0.4) };
    const upright = shape("g", { transform: `rotate(${room.turn_deg} ${x} ${-y})` });
    upright.append(shape("text", { ...text, y: -y, class: "area" }, room.name), shape("text", { ...text, y: -y + text["font-size"] * 1.3, class: "size" }, area(room.area_m2, this.unit)));
    group.append(upright);
    group.onpointerdown = (event) => this.#drag(event, svg, group, room, index);
    group.onkeydown = (event) => this.#key(event, room, index);
    return group;
  }

  #drag(event, svg, group, room, index) {
    event.preventDefault();
    group.setPointerCapture(event.pointerId);
    group.focus();
    const inverse = svg.getScreenCTM().inverse();
    const at = ({ clientX, clientY }) => new DOMPoint(clientX, clientY).matrixTransform(inverse);
    const [from, x, y] = [at(event), room.x_m, room.y_m];
    let moved = false;
    this.dragging = true;
    group.onpointermove = (move) => {
      const to = at(move);
      moved = moved || Math.hypot(move.clientX - event.clientX, move.clientY - event.clientY) > 4;
      if (!moved) return;
      this.edited.add(index);
      const now = Object.assign(this.home.rooms[index], { x_m: x + to.x - from.x, y_m: y - (to.y - from.y) });
      group.setAttribute("transform", placement(now));
    };
    group.onpointerup = group.onpointercancel = () => {
      group.onpointermove = group.onpointerup = group.onpointercancel = null;
      this.dragging = false;
      this.chosen = index;
      if (moved) this.#do("snap", { index });
      else this.draw();
    };
  }

  #key(event, room, index) {
    const far = event.shiftKey ? 10 * STEP_M : STEP_M;
    const step = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[event.key];
    this.chosen = index;
    if (step) {
      room.x_m += step[0];
      room.y_m += step[1];
      this.edited.add(index);
      event.currentTarget.setAttribute("transform", placement(room));
      this.#do("measure");
    } else if (event.key === "q" || event.key === "e") this.#turn(index, (event.key === "q" ? 1 : -1) * (event.shiftKey ? 90 : 1));
    else if (event.key === "Delete") this.#remove(index);
    else if (event.key === "Enter") this.#do("snap", { index });
    else return;
    event.preventDefault();
  }

  /** What the rooms come to together. */
  cards() {
    const { home, unit } = this;
    if (!home.rooms.length) return [];
    const name = (i) => home.rooms[i]?.name;
    const gap = element("input", { type: "number", defaultValue: home.wall_thickness_m, min: 0, max: 1, step: 0.01, onchange: ({ target }) => {
      this.home.wall_thickness_m = Math.min(1, Math.max(0, Number(target.value) || 0));
      this.#do("measure");
    } });
    gap.setAttribute("aria-label", "Thickness of walls between rooms, m");
    const total = card(
      home.name,
      paragraph(area(home.area_m2, unit), "big"),
      rows([["rooms", String(home.rooms.length)], ["volume", volume(home.volume_m3, unit)], ["walls between, m", gap], ["state", this.dirty ? "not saved" : this.said || "saved"]]),
      paragraph("Rooms are where somebody placed them. How thick walls between them are is assumed, not measured."),
    );
    const over = home.overlaps.map(({ rooms: [a, b], area_m2 }) => paragraph(`${name(a)} and ${name(b)} overlap by ${area(area_m2, unit)}, which is counted once.`, "note wrong"));
    if (over.length) total.classList.add("trouble");
    total.append(...over);
    const doors = home.passages.map(({ rooms: [a, b], width_m }) => [`${name(a)} – ${name(b)}`, `door, ${length(width_m, unit)}`]);
    const walls = home.shared_walls.map(({ rooms: [a, b], length_m, gap_m }) => [`${name(a)} – ${name(b)}`, `${length(length_m, unit)}, ${length(Math.max(0, gap_m), unit)} apart`]);
    const list = element("div", { className: "downloads" });
    if (this.saved.has(home.name) && !this.dirty) {
      for (const file of ["plan.svg", "plan.dxf", "home.glb", "home.csv"]) list.append(element("a", { href: `/home/${encodeURIComponent(home.name)}/${file}${location.search}`, download: `${home.name}-${file}`, textContent: file }));
    } else list.append(paragraph("Save it first."));
    return [total, home.rooms.length > 1 && card("Between rooms", rows([...doors, ...walls]), !walls.length && paragraph("No two rooms share a wall yet.")), card("Take it with you", list)];
  }
}

const placement = ({ x_m, y_m, turn_deg }) => `translate(${x_m} ${-y_m}) rotate(${-turn_deg})`;

function toHome({ x_m, y_m, turn_deg }, [x, y]) {
  const [c, s] = [Math.cos((turn_deg * Math.PI) / 180), Math.sin((turn_deg * Math.PI) / 180)];
  return [x_m + c * x - s * y, y_m + s * x + c * y];
}

function centre({ polygon_m: p }) {
  let [sum, x, y] = [0, 0, 0];
  p.forEach(([x0, y0], i) => {
    const [x1, y1] = p[(i + 1) % p.length];
    const cross = x0 * y1 - x1 * y0;
    sum += cross;
    x += (x0 + x1) * cross;
    y += (y0 + y1) * cross;
  });
  return [x / (3 * sum), y / (3 * sum)];
}
