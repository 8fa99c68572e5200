// A room being labelled: corners on the floor in metres about the camera (x right, y forward), seen on a level panorama.
// Places on the picture are fractions of its width and height from the top left. Every change gives a new room.

export const PICTURE_WH = [1024, 512];
const [LEAST_M, MOST_M] = [0.5, 30];
const SAME_RAD = 1e-6;
const RIGHT_ANGLE_RAD = (15 * Math.PI) / 180;
const NEAREST = 1e-3;
const MOST_CORNERS = 64;

const azimuth = ({ x, y }) => Math.atan2(x, y);
const far = ({ x, y }) => Math.hypot(x, y);
const at = (angle, metres) => ({ x: Math.sin(angle) * metres, y: Math.cos(angle) * metres });
const turned = (a, b) => ((((b - a) % (2 * Math.PI)) + 3 * Math.PI) % (2 * Math.PI)) - Math.PI;
const limited = (value, low, high) => Math.min(high, Math.max(low, value));

/** Where a point of the room is on the picture. */
export function seen({ x, y }, z, cameraHeight) {
  return [azimuth({ x, y }) / (2 * Math.PI) + 0.5, 0.5 - Math.atan2(z - cameraHeight, far({ x, y })) / Math.PI];
}

/** The point of the floor that is seen there, never nearer or farther than a room is large. */
export function onFloor([u, v], cameraHeight) {
  const below = Math.max((v - 0.5) * Math.PI, NEAREST);
  return at((u - 0.5) * 2 * Math.PI, limited(cameraHeight / Math.tan(below), 0.1, MOST_M));
}

/** As few corners as draw an outline to a tolerance, at most so many as are good to drag (Douglas and Peucker). */
export function simplified(room, most = 24) {
  let { corners } = room;
  for (let tolerance = 0.05; corners.length > most; tolerance *= 1.5) {
    const [i, j] = [0, farthest(room.corners, room.corners[0])];
    const halves = [room.corners.slice(i, j + 1), [...room.corners.slice(j), room.corners[0]]];
    corners = halves.flatMap((half) => thinned(half, tolerance).slice(0, -1));
  }
  return { ...room, corners };
}

const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
const farthest = (points, from) => points.reduce((best, p, i) => (apart(p, from) > apart(points[best], from) ? i : best), 0);

function thinned(points, tolerance) {
  const [a, b] = [points[0], points.at(-1)];
  const length = Math.max(apart(a, b), 1e-9);
  const off = points.map((p) => Math.abs((b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)) / length);
  const worst = off.reduce((best, value, i) => (value > off[best] ? i : best), 0);
  if (points.length < 3 || off[worst] <= tolerance) return [a, b];
  return [...thinned(points.slice(0, worst + 1), tolerance).slice(0, -1), ...thinned(points.slice(worst), tolerance)];
}

/** A room of a layout message, or a square where there is none: {corners, cameraHeight, ceilingHeight}. */
export function roomOf(layout, cameraHeight) {
  const m = layout?.metric;
  if (m) return { corners: m.polygon_m.map(([x, y]) => ({ x, y })), cameraHeight: m.camera_height_m, ceilingHeight: m.ceiling_height_m };
  const r = layout?.relative;
  const eye = cameraHeight ?? 1.6;
  if (r) {
    const corners = r.polygon.map(([x, y]) => ({ x: x * eye, y: y * eye }));
    return { corners, cameraHeight: eye, ceilingHeight: r.ceiling_height * eye };
  }
  const corners = [[2, 2], [-2, 2], [-2, -2], [2, -2]].map(([x, y]) => ({ x, y }));
  return { corners, cameraHeight: eye, ceilingHeight: Math.max(2.5, eye + 0.5) };
}

/** The corner that stands on the same ray: the other end of an edge that hides what is behind it. */
function partner(corners, i) {
  const n = corners.length;
  return [(i + 1) % n, (i + n - 1) % n].find((j) => Math.abs(turned(azimuth(corners[i]), azimuth(corners[j]))) < SAME_RAD);
}

function placed(room, i, place) {
  const corners = room.corners.map((c) => ({ ...c }));
  const other = partner(corners, i);
  Object.assign(corners[i], place);
  if (other !== undefined) Object.assign(corners[other], at(azimuth(place), far(corners[other])));
  return { ...room, corners };
}

/** A corner's floor end goes there. */
export const moveFloor = (room, i, spot) => placed(room, i, onFloor(spot, room.cameraHeight));

/** A corner's ceiling end goes there: the corner turns with it, and the ceiling becomes as high for all. */
export function moveCeiling(room, i, [u, v]) {
  const metres = far(room.corners[i]);
  const above = metres * Math.tan(Math.max((0.5 - v) * Math.PI, NEAREST));
  return { ...placed(room, i, at((u - 0.5) * 2 * Math.PI, metres)), ceilingHeight: room.cameraHeight + limited(above, 0.05, MOST_M) };
}

/** The camera hangs higher or lower: in the picture nothing changes, in metres all does. */
export function scaled(room, cameraHeight) {
  const by = cameraHeight / room.cameraHeight;
  return { corners: room.corners.map((c) => ({ ...c, x: c.x * by, y: c.y * by })), cameraHeight, ceilingHeight: room.ceilingHeight * by };
}

/** Where a ray from the camera meets the wall after a corner: its share of the wall, and how far; null: it does not. */
function met(a, b, angle) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const [sx, sy] = [Math.sin(angle), Math.cos(angle)];
  const cross = dx * sy - dy * sx;
  if (Math.abs(cross) < 1e-12) return null;
  const share = (a.y * sx - a.x * sy) / cross;
  const metres = sx * (a.x + share * dx) + sy * (a.y + share * dy);
  return share > 0 && share < 1 && metres > 0 ? { share, metres } : null;
}

/** A corner more, where the picture's column `u` meets the nearest wall; the room, and the corner's number. */
export function added(room, u) {
  const angle = (u - 0.5) * 2 * Math.PI;
  const n = room.corners.length;
  const hits = room.corners.map((a, i) => ({ i, hit: met(a, room.corners[(i + 1) % n], angle) })).filter(({ hit }) => hit);
  if (!hits.length || n >= MOST_CORNERS) return null;
  const { i, hit } = hits.reduce((a, b) => (a.hit.metres < b.hit.metres ? a : b));
  const corners = room.corners.toSpliced(i + 1, 0, { ...room.corners[i], ...at(angle, hit.metres) });
  return { room: { ...room, corners }, corner: i + 1 };
}

/** A corner more in the middle of the wall after a corner. */
export function split(room, i) {
  const [a, b] = [room.corners[i], room.corners[(i + 1) % room.corners.length]];
  if (room.corners.length >= MOST_CORNERS) return null;
  const corners = room.corners.toSpliced(i + 1, 0, { ...a, x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  return { room: { ...room, corners }, corner: i + 1 };
}

/** Without a corner; three remain at least. */
export const removed = (room, i) => (room.corners.length <= 3 ? room : { ...room, corners: room.corners.toSpliced(i, 1) });

/** A second corner behind one, on the same ray, where a wall hides what is behind it; or, if there is one, without. */
export function occlusionToggled(room, i) {
  const other = partner(room.corners, i);
  if (other !== undefined) return removed(room, other);
  const behind = { ...room.corners[i], ...at(azimuth(room.corners[i]), far(room.corners[i]) * 1.4) };
  const after = { ...room, corners: room.corners.toSpliced(i + 1, 0, behind) };
  return problem(after) ? { ...room, corners: room.corners.toSpliced(i, 0, behind) } : after;
}

/** Walls that are within 15 degrees of the room's main directions stand at right angles; others stay. */
export function squared(room) {
  const n = room.corners.length;
  const wall = (i) => ({ dx: room.corners[(i + 1) % n].x - room.corners[i].x, dy: room.corners[(i + 1) % n].y - room.corners[i].y });
  const sum = [0, 0];
  for (let i = 0; i < n; i++) {
    const { dx, dy } = wall(i);
    const [angle, length] = [4 * Math.atan2(dy, dx), Math.hypot(dx, dy)];
    sum[0] += length * Math.cos(angle);
    sum[1] += length * Math.sin(angle);
  }
  const turn = Math.atan2(sum[1], sum[0]) / 4;
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  const flat = room.corners.map(({ x, y }) => [c * x + s * y, -s * x + c * y]);
  for (const axis of [0, 1]) {
    const same = new Map(); // corner -> those that share this coordinate with it
    for (let i = 0; i < n; i++) {
      const j = (i + 1) % n;
      const along = Math.abs(flat[j][1 - axis] - flat[i][1 - axis]);
      if (Math.atan2(Math.abs(flat[j][axis] - flat[i][axis]), along) > RIGHT_ANGLE_RAD) continue;
      const group = new Set([...(same.get(i) ?? [i]), ...(same.get(j) ?? [j])]);
      for (const k of group) same.set(k, group);
    }
    for (const group of new Set(same.values())) {
      const mean = [...group].reduce((total, k) => total + flat[k][axis], 0) / group.size;
      for (const k of group) flat[k][axis] = mean;
    }
  }
  return { ...room, corners: room.corners.map((corner, i) => ({ ...corner, x: c * flat[i][0] - s * flat[i][1], y: s * flat[i][0] + c * flat[i][1] })) };
}

/** What is wrong with a room; null: nothing. The server looks again. */
export function problem({ corners, cameraHeight, ceilingHeight }) {
  const n = corners.length;
  if (!(ceilingHeight > cameraHeight)) return "The ceiling must be above the camera.";
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++)
      if (j !== i + 1 && (j + 1) % n !== i && cross(corners[i], corners[(i + 1) % n], corners[j], corners[(j + 1) % n]))
        return "Two walls cross each other.";
  const winding = corners.reduce((sum, corner, i) => sum + turned(azimuth(corner), azimuth(corners[(i + 1) % n])), 0);
  if (Math.abs(winding) < Math.PI) return "The camera must be inside.";
  const sizes = ["x", "y"].map((k) => Math.max(...corners.map((p) => p[k])) - Math.min(...corners.map((p) => p[k])));
  if (Math.min(...sizes) < LEAST_M || Math.max(...sizes) > MOST_M) return `A room is ${LEAST_M} to ${MOST_M} m wide.`;
  return null;
}

function cross(a, b, c, d) {
  const side = (p, q, r) => Math.sign((q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x));
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

export const areaM2 = ({ corners }) =>
  Math.abs(corners.reduce((sum, a, i) => sum + a.x * corners[(i + 1) % corners.length].y - corners[(i + 1) % corners.length].x * a.y, 0)) / 2;

/** As the server takes it. */
export function said({ corners, cameraHeight, ceilingHeight }) {
  return { polygon_m: corners.map(({ x, y }) => [x, y]), camera_height_m: cameraHeight, ceiling_height_m: ceilingHeight };
}

/** The edges that cannot be seen: [boundary, first column, last column]. */
export function hiddenSpans({ corners }) {
  const width = PICTURE_WH[0];
  const column = (corner) => Math.round((azimuth(corner) / (2 * Math.PI) + 0.5) * width - 0.5);
  return corners.flatMap((corner, i) => {
    const next = corners[(i + 1) % corners.length];
    const [first, last] = turned(azimuth(corner), azimuth(next)) > 0 ? [column(corner), column(next)] : [column(next), column(corner)];
    const spans = first <= last ? [[first, last]] : [[first, width - 1], [0, last]];
    return ["floor", "ceiling"].filter((b) => corner[`${b}Hidden`]).flatMap((b) => spans.map(([x0, x1]) => [b, limited(x0, 0, width - 1), limited(x1, 0, width - 1)]));
  });
}
