// The floor plan: a drawing to scale, with the length of every wall, doors and windows.

import { shape } from "./elements.js";
import { area, length } from "./geometry.js";
import { SOURCES } from "./openings.js";

const SURE = 0.5;

/**
 * An SVG of the room seen from above, forward up. `room` is `metric` of a layout message.
 * @param openings as `placed` gives them. @param colours of walls, by number: {side, colour}; null: as ink
 * @param small: without lengths and sizes. @param onWall called with (side, [x, y]) when a wall is clicked
 */
export function plan(room, { unit, name, partial, openings = [], colours = null, onWall = null, small = false }) {
  const points = room.polygon_m;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const span = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys), 1);
  const margin = span * (small ? 0.03 : 0.16);
  const [left, top] = [Math.min(...xs) - margin, -Math.max(...ys) - margin];
  const width = Math.max(...xs) - Math.min(...xs) + 2 * margin;
  const height = Math.max(...ys) - Math.min(...ys) + 2 * margin;
  const svg = shape("svg", { viewBox: `${left} ${top} ${width} ${height}`, role: "img", class: "plan" });
  svg.append(shape("title", {}, `Plan of ${name}`));
  svg.append(shape("polygon", { points: points.map(([x, y]) => `${x},${-y}`).join(" "), class: "floor" }));
  room.walls.forEach((wall, i) => svg.append(...drawnWall(wall, i, span, unit, colours?.[i]).slice(0, small ? 1 : 2)));
  for (const opening of openings) svg.append(drawnOpening(opening, span, unit));
  if (onWall) room.walls.forEach((wall, i) => svg.append(target(svg, wall, i, sideOf(wall, points), span, onWall)));
  svg.append(shape("circle", { cx: 0, cy: 0, r: span * 0.014, class: "eye" }));
  const tip = span * 0.06;
  svg.append(shape("path", { d: `M0 ${-tip} L${tip * 0.3} ${-tip * 0.45} L${-tip * 0.3} ${-tip * 0.45} Z`, class: "eye" }));
  if (small) return svg;
  const cx = (Math.min(...xs) + Math.max(...xs)) / 2;
  const cy = -(Math.min(...ys) + Math.max(...ys)) / 2;
  const middle = { "text-anchor": "middle", "font-size": span * 0.055 };
  svg.append(shape("text", { x: cx, y: cy + span * 0.12, ...middle, class: "area" }, area(room.area_m2, unit)));
  if (partial) {
    const note = { ...middle, "font-size": span * 0.032, class: "partial" };
    svg.append(shape("text", { x: cx, y: cy + span * 0.17, ...note }, "only what this camera sees"));
  }
  return svg;
}

const sideOf = ({ start_m: [x, y] }, points) => points.findIndex((p) => p[0] === x && p[1] === y);

function drawnWall({ start_m: a, end_m: b, length_m, confidence }, i, span, unit, painted) {
  const line = shape("line", { x1: a[0], y1: -a[1], x2: b[0], y2: -b[1], class: "wall", "stroke-width": span * 0.016 });
  if (painted) line.style.stroke = painted.colour;
  if (confidence !== null && confidence < SURE) line.setAttribute("stroke-dasharray", `${span * 0.03} ${span * 0.024}`);
  const sure = confidence === null ? "not seen" : `${Math.round(confidence * 100)} % sure`;
  line.append(shape("title", {}, `Wall ${i + 1}: ${length(length_m, unit)}, ${sure}`));
  if (length_m < span * 0.1) return [line];
  const [dx, dy] = [(b[0] - a[0]) / length_m, (b[1] - a[1]) / length_m];
  const off = span * 0.05; // outwards: the polygon runs counter-clockwise
  const [x, y] = [(a[0] + b[0]) / 2 + dy * off, -((a[1] + b[1]) / 2 - dx * off)];
  let turn = (-Math.atan2(dy, dx) * 180) / Math.PI;
  if (turn > 90 || turn <= -90) turn += 180;
  const text = { x, y, transform: `rotate(${turn} ${x} ${y})`, "text-anchor": "middle", "dominant-baseline": "middle" };
  return [line, shape("text", { ...text, "font-size": span * 0.04, class: "size" }, length(length_m, unit))];
}

/** A gap in its wall; of a door also the leaf and its swing, of a window three lines. `ends`: right, left. */
export function drawnOpening({ kind, source, ends: [a, b], confidence }, span, unit) {
  const width = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const [dx, dy] = [(b[0] - a[0]) / width, (b[1] - a[1]) / width];
  const thick = span * 0.016;
  const line = (shift, name, stroke) =>
    shape("line", { x1: a[0] - dy * shift, y1: -(a[1] + dx * shift), x2: b[0] - dy * shift, y2: -(b[1] + dx * shift), class: name, "stroke-width": stroke });
  const group = shape("g", { class: `hole ${kind} ${source}`, "data-kind": kind, "data-source": source });
  const sure = source === "found" ? `, ${Math.round((confidence ?? 0) * 100)} % sure` : "";
  group.append(shape("title", {}, `${kind}, ${length(width, unit)} wide, ${SOURCES[source]}${sure}`), line(0, "gap", thick * 1.4));
  if (kind === "window") group.append(...[-0.5, 0, 0.5].map((s) => line(s * thick, "leaf", thick * 0.25)));
  if (kind === "door") {
    const leaf = [a[0] - dy * width, a[1] + dx * width]; // into the room, which is left of the outline
    group.append(
      shape("line", { x1: a[0], y1: -a[1], x2: leaf[0], y2: -leaf[1], class: "leaf", "stroke-width": thick * 0.35 }),
      shape("path", { d: `M${leaf[0]} ${-leaf[1]} A${width} ${width} 0 0 1 ${b[0]} ${-b[1]}`, class: "leaf", "stroke-width": thick * 0.2 }),
    );
  }
  return group;
}

/** A wide, unseen line over a wall that takes clicks and the Enter key. */
function target(svg, { start_m: a, end_m: b }, i, side, span, onWall) {
  const line = shape("line", { x1: a[0], y1: -a[1], x2: b[0], y2: -b[1], class: "target", "stroke-width": span * 0.06, tabindex: 0, role: "button", "aria-label": `Wall ${i + 1}` });
  line.onclick = ({ clientX, clientY }) => {
    const at = new DOMPoint(clientX, clientY).matrixTransform(svg.getScreenCTM().inverse());
    const along = ((at.x - a[0]) * (b[0] - a[0]) + (-at.y - a[1]) * (b[1] - a[1])) / ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2);
    const t = Math.min(1, Math.max(0, along));
    onWall(side, [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
  };
  line.onkeydown = ({ key }) => key === "Enter" && onWall(side, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
  return line;
}
