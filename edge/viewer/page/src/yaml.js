// Lines of config.yaml for what was clicked in the page. Nothing here touches the page itself.

const deg = (radians) => (radians * 180) / Math.PI;
const round = (value, digits) => Number(value.toFixed(digits));

/** The bearing of a place of the room (x right, y forward), in degrees to the right of yaw 0. */
export const bearing = ([x, y]) => deg(Math.atan2(x, y));

/** Both bearings of two places, the left one first: the way from it to the right is less than half a turn. */
export function bearings(a, b) {
  const [from, to] = [bearing(a), bearing(b)];
  const right = (((to - from) % 360) + 360) % 360;
  return (right < 180 ? [from, to] : [to, from]).map((value) => round(value, 1));
}

/** Of an opening, as the key `openings` takes it: {kind, bearing_deg, sill_m, height_m}. */
const opening = ({ kind, bearing_deg, sill_m, height_m }) =>
  `  - {kind: ${kind}, bearing_deg: [${bearing_deg.join(", ")}], sill_m: ${round(sill_m, 2)}, height_m: ${round(height_m, 2)}}`;

/** The whole key `openings` of a camera. */
export const openingsYaml = (openings) => ["openings:", ...openings.map(opening)].join("\n");

/**
 * The section `heat_loss` of a camera: walls by direction, the narrowest first, so that a wall that is seen before
 * another is not taken for it.
 * @param polygon corners, counter-clockwise. @param behind what is behind each side (index: to), and floor and ceiling
 * @param known of the last message: {outside_c, mean_outside_c, preset, room}
 */
export function heatLossYaml(polygon, behind, known) {
  const walls = Object.entries(behind)
    .filter(([side]) => /^\d+$/.test(side))
    .map(([side, to]) => {
      const [start, end] = [polygon[side], polygon[(Number(side) + 1) % polygon.length]];
      const [left, right] = bearings(start, end);
      return { to, left, right, width: (((right - left) % 360) + 360) % 360 };
    })
    .sort((a, b) => a.width - b.width)
    .map(({ to, left, right }) => `    - {bearing_deg: [${left}, ${right}], to: ${to}}`);
  const text = ["heat_loss:", `  design: {outside_c: ${known.outside_c ?? -3}, mean_outside_c: ${known.mean_outside_c ?? 10}}`];
  if (known.preset) text.push(`  preset: ${known.preset}`, `  room: ${known.room}`);
  text.push("  walls:", ...walls);
  for (const part of ["floor", "ceiling"]) if (behind[part]) text.push(`  ${part}: {to: ${behind[part]}}`);
  return text.join("\n");
}
