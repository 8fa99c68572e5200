// What a room loses: walls in colours, a table, and what is behind each wall as lines of configuration.

import { $, button, card, choice, element, fill, lines, paragraph, percent, rows } from "./elements.js";
import { heatLossYaml } from "./yaml.js";

/** Up to so many W for each square metre of a wall with its openings; the report's colours. */
const COLOURS = [[0.5, "#9aa7b1", "none"], [15, "#4c9f70", "below 15"], [30, "#e0b43c", "15 to 30"], [60, "#e07b39", "30 to 60"], [Infinity, "#c0392b", "above 60"]];
const SURE = [[0.5, "#c0392b", "below 50 %"], [0.75, "#e0b43c", "50 to 75 %"], [Infinity, "#4c9f70", "above 75 %"]];
const UNKNOWN = "#9aa7b1";
const BEHIND = [["outside", "outside"], ["heated", "a heated room"], ["unheated", "an unheated space"], ["neighbour", "another home"]];
const BELOW = [["", "as it is configured"], ["ground", "the ground"], ...BEHIND];

const colour = (scale, value) => scale.find(([limit]) => value < limit)[1];

/** A colour for each side of the outline, or null where the room is shown as it is. `as`: confidence | heat | null. */
export function wallColours({ layout, heat_loss: heat }, as) {
  const room = layout?.metric;
  if (!room || !as) return null;
  const walls = room.walls.map((wall) => ({ wall, side: room.polygon_m.findIndex(([x, y]) => x === wall.start_m[0] && y === wall.start_m[1]) }));
  return Object.fromEntries(
    walls.map(({ wall, side }, i) => {
      if (as === "confidence") return [i, { side, colour: wall.confidence === null ? UNKNOWN : colour(SURE, wall.confidence) }];
      const same = heat?.polygon_m.length === room.polygon_m.length;
      const elements = same ? heat.elements.filter(({ edge }) => edge === side) : [];
      const [area, loss] = ["area_m2", "loss_w"].map((key) => elements.reduce((sum, e) => sum + e[key], 0));
      return [i, { side, colour: elements.length ? colour(COLOURS, loss / Math.max(area, 1e-9)) : UNKNOWN }];
    }),
  );
}

export function legend(as) {
  if (!as) return null;
  const spots = (as === "heat" ? COLOURS : SURE).map(([, paint, text]) => {
    const spot = element("i");
    spot.style.background = paint;
    return element("span", {}, spot, text);
  });
  return element("p", { className: "legend" }, as === "heat" ? "W for each m² of wall: " : "How sure the layout is of a wall: ", ...spots);
}

/** What to measure next, by the message's name of an input; the report's words. */
const INPUTS = {
  camera_height: "the camera's height", ceiling_height: "the ceiling's height", layout: "the plan's lengths",
  air_changes: "how much outside air comes in", openings: "the windows' sizes", mean_outside: "the mean temperature outside",
  "u.wall": "the walls' U-value", "u.window": "the windows' U-value", "u.door": "the doors' U-value", "u.floor": "the floor's U-value", "u.ceiling": "the ceiling's U-value",
};
const NEXT = 3;

/** Two significant digits: more would pretend to be sure. */
export function watts(value) {
  if (Math.abs(value) < 0.5) return "0 W";
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 1);
  return `${Math.round(Math.round(value / step) * step).toLocaleString("en").replaceAll(",", "\u202f")} W`;
}

export function heatCard({ heat_loss: heat }) {
  if (!heat) return null;
  const table = element("table", {}, ...heat.elements.map((e) => row(e.name.replace(" degrees", "°"), e.to, e)), row("outside air", `${heat.air_changes_per_h.toFixed(1)} an hour`, { loss_w: heat.ventilation_w }));
  return card(
    "Heat loss",
    paragraph(watts(heat.total_w.p50), "big"),
    paragraph(`${watts(heat.total_w.p05)} to ${watts(heat.total_w.p95)} in 9 of 10 cases, ${heat.inside_c} °C inside, ${heat.outside_c} °C outside`),
    table,
    paragraph(`Measure next, for a narrower range: ${heat.largest.slice(0, NEXT).map(({ input, share }) => `${INPUTS[input] ?? input} (${percent(share)} of it)`).join(", ")}.`),
    paragraph(`* assumed. ${heat.disclaimer}`),
  );
}

function row(name, behind, { loss_w, assumed }) {
  const cells = [element("th", { scope: "row", textContent: name }), element("td", { textContent: behind }), element("td", { textContent: watts(loss_w) + (assumed ? " *" : "") })];
  return element("tr", assumed ? { title: "assumed: its U-value, its size or what is behind it" } : {}, ...cells);
}

/** What people say is behind the walls, by camera. */
export class Behind {
  constructor(changed) {
    this.changed = changed;
    this.byCamera = new Map();
  }

  of(camera) {
    if (!this.byCamera.has(camera.id)) this.byCamera.set(camera.id, { walls: {}, touched: false, chosen: null });
    return this.byCamera.get(camera.id);
  }

  /** A wall was clicked, or null: all are to be said from the keyboard. Begins with what is configured, or all outside. */
  clicked(camera, side) {
    const draft = this.of(camera);
    if (!draft.touched) {
      Object.assign(draft, { touched: true, corners: camera.layout.metric.polygon_m.length });
      camera.layout.metric.polygon_m.forEach((_, i) => {
        const known = camera.heat_loss?.elements.find(({ edge, kind }) => edge === i && kind === "wall")?.to;
        draft.walls[i] = known ?? (camera.heat_loss ? "heated" : "outside");
      });
    }
    draft.chosen = side;
    this.changed();
  }

  panel(camera) {
    const draft = camera && this.of(camera);
    const corners = camera?.layout?.metric?.polygon_m.length;
    if (draft?.touched && draft.corners !== corners) Object.assign(draft, { walls: {}, touched: false, chosen: null }); // other walls now
    $("behind").hidden = !draft?.touched || !camera.layout?.metric;
    if ($("behind").hidden) {
      this.shown = null;
      return;
    }
    const { polygon_m: polygon } = camera.layout.metric;
    const shown = JSON.stringify([camera.id, draft]);
    if (shown === this.shown) return; // a list that is open would be closed
    this.shown = shown;
    const set = (part) => (to) => {
      if (to) draft.walls[part] = to;
      else delete draft.walls[part];
      this.changed();
    };
    const sides = polygon.map((_, i) => i).filter((i) => i in draft.walls);
    const walls = sides.map((i) => [i === draft.chosen ? `wall ${i + 1} (clicked)` : `wall ${i + 1}`, choice(`Behind wall ${i + 1}`, BEHIND, draft.walls[i], set(i))]);
    const flats = ["floor", "ceiling"].map((part) => [part, choice(`Beyond the ${part}`, part === "floor" ? BELOW : BELOW.filter(([to]) => to !== "ground"), draft.walls[part] ?? "", set(part))]);
    const text = heatLossYaml(polygon, draft.walls, camera.heat_loss ?? {});
    window.state.heatYaml = text;
    const hint = camera.heat_loss
      ? `Into config.yaml, at camera ${camera.name}; of heat_loss keep your other keys:`
      : `Into config.yaml, at camera ${camera.name}; give the temperature of a cold day where you are:`;
    const done = button("Close", null, () => {
      this.byCamera.delete(camera.id);
      this.changed();
    });
    fill($("behind"), ...card("What is behind the walls", rows([...walls, ...flats]), lines(text, hint), done).children);
  }
}
