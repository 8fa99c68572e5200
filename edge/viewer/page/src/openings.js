// Doors, windows and passages: where the camera sees them in a wall, drawn on plans, and added by two clicks.

import { $, button, card, choice, fill, lines, paragraph, rows } from "./elements.js";
import { length } from "./geometry.js";
import { bearing, bearings, openingsYaml } from "./yaml.js";

const HEIGHTS = { door: [0, 2], window: [0.9, 1.2], opening: [0, 2.1] };
const LEAST_M = 0.3;
export const SOURCES = { configured: "configured", found: "found by the model", new: "new, not configured yet" };

/** Where a bearing meets the line through two corners, seen from the camera at [0, 0]. */
export function onWall(degrees, [ax, ay], [bx, by]) {
  const [dx, dy] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  const across = dx * (by - ay) - dy * (bx - ax);
  const far = (ax * (by - ay) - ay * (bx - ax)) / across;
  return Number.isFinite(far) && far > 0 ? [dx * far, dy * far] : null;
}

/** A message's openings with their ends in the room: [{..., ends: [right, left]}]; what lies in no wall is left out. */
export function placed(openings, polygon) {
  return (openings ?? []).flatMap((one) => {
    const [a, b] = [polygon[one.wall], polygon[(one.wall + 1) % polygon.length]];
    const ends = a && [onWall(one.right_deg, a, b), onWall(one.left_deg, a, b)];
    return ends?.every(Boolean) ? [{ ...one, ends }] : [];
  });
}

/** Which side of the outline the camera sees at a bearing. */
export function sideAt(degrees, polygon) {
  let [best, side] = [Infinity, -1];
  polygon.forEach((a, i) => {
    const b = polygon[(i + 1) % polygon.length];
    const at = onWall(degrees, a, b);
    if (!at) return;
    const along = ((at[0] - a[0]) * (b[0] - a[0]) + (at[1] - a[1]) * (b[1] - a[1])) / ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2);
    if (along >= -1e-6 && along <= 1 + 1e-6 && Math.hypot(...at) < best) [best, side] = [Math.hypot(...at), i];
  });
  return side;
}

/** What people add: two clicks make an opening; its panel has the lines to paste. */
export class Draft {
  /** @param changed called when what is to be drawn changed. */
  constructor(changed) {
    this.changed = changed;
    this.kind = "door";
    this.adding = false;
    this.first = null;
    this.byCamera = new Map();
  }

  of = (id) => this.byCamera.get(id) ?? [];

  start(on) {
    this.adding = on;
    this.first = null;
    this.changed();
  }

  /** A click on a wall at [x, y, z] of the room; z null: on the plan. */
  clicked(camera, place) {
    if (!this.first) this.first = place;
    else {
      const { polygon_m: polygon, ceiling_height_m: ceiling } = camera.layout.metric;
      const [a, b] = [this.first, place];
      this.first = null;
      const bearing_deg = bearings(a, b);
      const heights = [a[2], b[2]].sort((p, q) => p - q);
      const drawn = a[2] !== null && heights[1] - heights[0] > LEAST_M;
      const [sill_m, height_m] = drawn ? [Math.max(0, heights[0]), heights[1] - Math.max(0, heights[0])] : HEIGHTS[this.kind];
      const low = sill_m < 0.15 ? 0 : sill_m;
      const wall = sideAt(bearing([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]), polygon);
      if (bearing_deg[0] !== bearing_deg[1] && wall >= 0) {
        const one = { kind: this.kind, bearing_deg, sill_m: low, height_m: Math.min(height_m + sill_m - low, ceiling - low) };
        this.byCamera.set(camera.id, [...this.of(camera.id), { ...one, wall, source: "new" }]);
      }
    }
    this.changed();
  }

  /** All openings of a camera that are to be drawn: the message's and the new ones. */
  all(camera) {
    const added = this.of(camera.id).map((one) => ({ ...one, left_deg: one.bearing_deg[0], right_deg: one.bearing_deg[1] }));
    return placed([...(camera.layout?.openings ?? []), ...added], camera.layout?.metric?.polygon_m ?? []);
  }

  panel(camera, unit) {
    const added = this.of(camera?.id);
    $("openings").hidden = !this.adding && !added.length;
    if ($("openings").hidden) {
      this.shown = null;
      return;
    }
    const text = openingsYaml(added);
    window.state.openingsYaml = added.length ? text : null;
    const last = added.at(-1);
    const shown = JSON.stringify([camera.id, text, this.first, this.adding, unit]);
    if (shown === this.shown) return; // a list that is open would be closed
    this.shown = shown;
    const sizes = last && rows([["sill", length(last.sill_m, unit)], ["height", length(last.height_m, unit)]]);
    const undo = added.length ? button("Undo the last", null, () => (this.byCamera.set(camera.id, added.slice(0, -1)), this.changed())) : null;
    const kinds = [["door", "Door"], ["window", "Window"], ["opening", "Passage without a door"]];
    const hint = this.first
      ? "Now click its opposite corner; on the plan, its other end."
      : "Click two opposite corners of it in the model, or its two ends on the plan.";
    const content = [
      choice("Kind of opening", kinds, this.kind, (value) => (this.kind = value)),
      this.adding && paragraph(hint),
      sizes,
      added.length > 0 && lines(text, `Into config.yaml, at camera ${camera.name}; where it has openings already, only the lines below that word:`),
      undo,
    ];
    fill($("openings"), ...card("New door or window", ...content).children);
  }
}
