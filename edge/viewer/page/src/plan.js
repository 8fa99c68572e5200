// The floor plan: a drawing to scale, with the length of every wall.

import { area, length } from "./geometry.js";

const NS = "http://www.w3.org/2000/svg";

function shape(name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** An SVG of the room seen from above, forward up. `room` is `metric` of a layout message. */
export function plan(room, { unit, name, partial }) {
  const points = room.polygon_m;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const span = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys), 1);
  const margin = span * 0.16;
  const [left, top] = [Math.min(...xs) - margin, -Math.max(...ys) - margin];
  const width = Math.max(...xs) - Math.min(...xs) + 2 * margin;
  const height = Math.max(...ys) - Math.min(...ys) + 2 * margin;
  const svg = shape("svg", { viewBox: `${left} ${top} ${width} ${height}`, role: "img", class: "plan" });
  svg.append(shape("title", {}, `Plan of ${name}`));
  const path = points.map(([x, y]) => `${x},${-y}`).join(" ");
  svg.append(shape("polygon", { points: path, class: "floor", "stroke-width": span * 0.004 }));
  for (const wall of room.walls) svg.append(...drawnWall(wall, span, unit));
  svg.append(shape("circle", { cx: 0, cy: 0, r: span * 0.014, class: "eye" }));
  const tip = span * 0.06;
  svg.append(shape("path", { d: `M0 ${-tip} L${tip * 0.3} ${-tip * 0.45} L${-tip * 0.3} ${-tip * 0.45} Z`, class: "eye" }));
  const cx = (Math.min(...xs) + Math.max(...xs)) / 2;
  const cy = -(Math.min(...ys) + Math.max(...ys)) / 2;
  const middle = { "text-anchor": "middle", "font-size": span * 0.055 };
  svg.append(shape("text", { x: cx, y: cy + span * 0.12, ...middle, class: "area" }, area(room.area_m2, unit)));
  if (partial) {
    const small = { ...middle, "font-size": span * 0.032, class: "note" };
    svg.append(shape("text", { x: cx, y: cy + span * 0.17, ...small }, "only what this camera sees"));
  }
  return svg;
}

function drawnWall({ start_m: a, end_m: b, length_m }, span, unit) {
  const line = shape("line", { x1: a[0], y1: -a[1], x2: b[0], y2: -b[1], class: "wall", "stroke-width": span * 0.016 });
  if (length_m < span * 0.1) return [line];
  const [dx, dy] = [(b[0] - a[0]) / length_m, (b[1] - a[1]) / length_m];
  const off = span * 0.05; // outwards: the polygon runs counter-clockwise
  const [x, y] = [(a[0] + b[0]) / 2 + dy * off, -((a[1] + b[1]) / 2 - dx * off)];
  let turn = (-Math.atan2(dy, dx) * 180) / Math.PI;
  if (turn > 90 || turn <= -90) turn += 180;
  const text = { x, y, transform: `rotate(${turn} ${x} ${y})`, "text-anchor": "middle", "dominant-baseline": "middle" };
  return [line, shape("text", { ...text, "font-size": span * 0.04, class: "size" }, length(length_m, unit))];
}
