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
 * @param camera {kind: "range"|"z", height_m, lens: {fx_px, fy_px, cx_px, cy_px}|null, fisheye: the same with k1..k4
 *     |null, rotation: 3x3 camera to room}
 */
export function pointsFromDepth({ width, height, metres }, { kind, height_m, lens, fisheye, rotation }) {
  const out = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const r = metres[y * width + x];
      if (!(r > 0)) continue;
      const ray = kind === "z" ? pinholeRay(x, y, lens) : fisheye ? fisheyeRay(x, y, fisheye) : panoramaRay(x, y, width, height);
      const p = rotation.map((row) => r * (row[0] * ray[0] + row[1] * ray[1] + row[2] * ray[2]));
      out.push(...toScene([p[0], p[1], p[2] + height_m]));
    }
  }
  return new Float32Array(out);
}

function panoramaRay(x, y, width, height) {
  const lon = ((x + 0.5) / width - 0.5) * 2 * Math.PI;
  const lat = (0.5 - (y + 0.5) / height) * Math.PI;
  return [Math.cos(lat) * Math.sin(lon), -Math.sin(lat), Math.cos(lat) * Math.cos(lon)];
}

const pinholeRay = (x, y, lens) => [(x + 0.5 - lens.cx_px) / lens.fx_px, (y + 0.5 - lens.cy_px) / lens.fy_px, 1];

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
