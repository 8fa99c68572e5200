// Frames: the room's is x right, y forward, z up, origin on the floor under the camera; three.js is y up.

/** Room coordinates as three.js has them. */
export const toScene = ([x, y, z]) => [x, z, -y];

const K = [0.282095, 0.325735, 0.325735, 0.325735, 0.273137, 0.273137, 0.078848, 0.273137, 0.136569];

/** Pre-scaled irradiance (nine rows of RGB, room axes) as the radiance coefficients of three.js' LightProbe, y up. */
export function probeCoefficients(rows) {
  const v = rows.map((row, i) => row.map((value) => value / K[i]));
  const mix = (...terms) => [0, 1, 2].map((c) => terms.reduce((sum, [f, i]) => sum + f * v[i][c], 0));
  const h = Math.sqrt(3) / 2;
  return [
    mix([1, 0]),
    mix([1, 2]),
    mix([-1, 1]),
    mix([1, 3]),
    mix([1, 7]),
    mix([-1, 5]),
    mix([-0.5, 6], [-h, 8]),
    mix([-1, 4]),
    mix([-h, 6], [0.5, 8]),
  ];
}

/** Camera axes (x right, y down, z forward) to the room's, for a camera that hangs level and looks forward. */
export const LEVEL = [
  [1, 0, 0],
  [0, 0, 1],
  [0, -1, 0],
];

/**
 * The points of a depth picture, as three.js has them.
 * @param depth {width, height, metres: Float32Array}; 0 is unknown
 * @param camera {kind: "range"|"z", height_m, lens: {fx_px, fy_px, cx_px, cy_px, k1, k2, p1, p2, k3}|null, fisheye: with
 *     k1..k4|null, rotation: 3x3 camera to room}
 */
export function pointsFromDepth({ width, height, metres }, { kind, height_m, lens, fisheye, rotation }) {
  const out = new Float32Array(3 * width * height);
  const [[a, b, c], [d, e, f], [g, h, i]] = rotation;
  let end = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const r = metres[y * width + x];
      if (!(r > 0)) continue;
      const ray = kind === "z" ? pinholeRay(x, y, lens) : fisheye ? fisheyeRay(x, y, fisheye) : panoramaRay(x, y, width, height);
      const [u, v, w] = ray;
      out[end++] = r * (a * u + b * v + c * w); // as toScene has it
      out[end++] = r * (g * u + h * v + i * w) + height_m;
      out[end++] = -r * (d * u + e * v + f * w);
    }
  }
  return out.slice(0, end);
}

function panoramaRay(x, y, width, height) {
  const lon = ((x + 0.5) / width - 0.5) * 2 * Math.PI;
  const lat = (0.5 - (y + 0.5) / height) * Math.PI;
  return [Math.cos(lat) * Math.sin(lon), -Math.sin(lat), Math.cos(lat) * Math.cos(lon)];
}

/** Ray of a pixel with z = 1; OpenCV's distortion is undone as its undistortPoints does, step by step. */
function pinholeRay(x, y, lens) {
  const [drawnU, drawnV] = [(x + 0.5 - lens.cx_px) / lens.fx_px, (y + 0.5 - lens.cy_px) / lens.fy_px];
  let [u, v] = [drawnU, drawnV];
  for (let step = 0; step < 50; step++) {
    const [atU, atV] = distorted(u, v, lens);
    u += drawnU - atU;
    v += drawnV - atV;
    if (Math.hypot(drawnU - atU, drawnV - atV) < 1e-7) break;
  }
  return [u, v, 1];
}

/** Where a lens draws what is seen at (u, v, 1), in focal lengths from its centre. */
function distorted(u, v, { k1, k2, p1, p2, k3 }) {
  const r = u * u + v * v;
  const radial = 1 + r * (k1 + r * (k2 + r * k3));
  return [u * radial + 2 * p1 * u * v + p2 * (r + 2 * u * u), v * radial + p1 * (r + 2 * v * v) + 2 * p2 * u * v];
}

/** Unit ray of a pixel of OpenCV's fisheye model; the angle from the axis, which may be over 90 degrees, by Newton. */
export function fisheyeRay(x, y, { fx_px, fy_px, cx_px, cy_px, k1, k2, k3, k4 }) {
  const [u, v] = [(x + 0.5 - cx_px) / fx_px, (y + 0.5 - cy_px) / fy_px];
  const drawn = Math.hypot(u, v);
  if (drawn < 1e-9) return [0, 0, 1];
  let t = drawn;
  for (let step = 0; step < 10; step++) {
    const s = t * t;
    const slope = 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)));
    t -= (t * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) - drawn) / slope;
  }
  return [(Math.sin(t) * u) / drawn, (Math.sin(t) * v) / drawn, Math.cos(t)];
}

/**
 * Where a direction of the room (x right, y forward, z up) is in a camera's picture, as fractions of its width and
 * height from the top left; null: behind the lens.
 * @param view {projection, rotation: 3x3 camera to room, lens, fisheye, width_px, height_px of what the lens is for}
 */
export function inPicture([dx, dy, dz], { projection, rotation, lens, fisheye, width_px, height_px }) {
  const [x, y, z] = [0, 1, 2].map((c) => rotation[0][c] * dx + rotation[1][c] * dy + rotation[2][c] * dz);
  if (projection === "equirectangular") return [Math.atan2(x, z) / (2 * Math.PI) + 0.5, 0.5 + Math.atan2(y, Math.hypot(x, z)) / Math.PI];
  if (fisheye) {
    const t = Math.atan2(Math.hypot(x, y), z);
    if (t > (fisheye.fov_deg * Math.PI) / 360) return null;
    const s = t * t;
    const far = (t * (1 + s * (fisheye.k1 + s * (fisheye.k2 + s * (fisheye.k3 + s * fisheye.k4))))) / Math.max(Math.hypot(x, y), 1e-12);
    return [(fisheye.fx_px * far * x + fisheye.cx_px) / width_px, (fisheye.fy_px * far * y + fisheye.cy_px) / height_px];
  }
  if (!lens || z <= 1e-6) return null;
  const [u, v] = [x / z, y / z];
  if (u * u + v * v > 9) return null; // beyond any lens that this model is for
  const [du, dv] = distorted(u, v, lens);
  return [(lens.fx_px * du + lens.cx_px) / width_px, (lens.fy_px * dv + lens.cy_px) / height_px];
}

/** A length as people read it. */
export function length(metres, unit) {
  if (unit !== "ft") return `${metres.toFixed(2)} m`;
  const inches = Math.round(metres / 0.0254);
  return `${Math.floor(inches / 12)}′ ${inches % 12}″`;
}

/** An area as people read it. */
export const area = (m2, unit) => (unit === "ft" ? `${(m2 * 10.7639).toFixed(0)} ft²` : `${m2.toFixed(1)} m²`);

/** A volume as people read it. */
export const volume = (m3, unit) => (unit === "ft" ? `${(m3 * 35.3147).toFixed(0)} ft³` : `${m3.toFixed(1)} m³`);
