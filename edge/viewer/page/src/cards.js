// What was inferred, in numbers: the cards beside the room.

import { card, element, paragraph, percent, rows, save } from "./elements.js";
import { saved } from "./connection.js";
import { area, length, volume } from "./geometry.js";
import { plan } from "./plan.js";

const EXPORTS = ["plan.svg", "plan.dxf", "room.glb", "room.usdz", "room.zip", "room.ply", "room.html", "room.ifc", "room.csv", "room.json", "depth.png", "picture.jpg"];
const ABOUT = {
  "plan.svg": "floor plan, 1:50; a browser prints it to PDF",
  "plan.dxf": "floor plan for CAD",
  "room.glb": "3-D with the picture on the walls",
  "room.usdz": "3-D for iPhone, iPad and Mac",
  "room.zip": "OBJ with its material and picture",
  "room.ply": "triangles with colours",
  "room.html": "this page with the room in it, for any browser, offline",
  "room.ifc": "building model; needs edge-reconstruction[ifc] where the page is served",
  "room.csv": "sizes as a table",
  "room.json": "HorizonNet's layout",
};

/** @param asking what may be asked of the device about it, or null */
export function roomCard({ layout }, unit, asking) {
  if (!layout) return null;
  const room = layout.metric;
  if (!room) return card("Room", paragraph("Sizes are relative: configure camera_height_m for metres."));
  const sure = room.walls.map(({ confidence }) => confidence).filter((c) => c !== null);
  return card(
    "Room",
    paragraph(area(room.area_m2, unit), "big"),
    rows([
      ["height", length(room.ceiling_height_m, unit)],
      ["volume", volume(room.volume_m3, unit)],
      ["walls", String(room.walls.length)],
      ["doors, windows", layout.openings?.length ? String(layout.openings.length) : null],
      ["confidence", percent(layout.confidence)],
      ["least sure wall", sure.length ? percent(Math.min(...sure)) : null],
    ]),
    layout.extent !== "room" && paragraph("Only what this camera sees; the room goes on behind it."),
    paragraph("What stands before a wall is projected onto it: furniture, mirrors and glass are pictures of themselves."),
    asking,
    layout.fit_reason && element("details", { className: "note" }, element("summary", { textContent: `fit: ${layout.fit}` }), layout.fit_reason),
  );
}

export function depthCard({ depth }, unit) {
  if (!depth) return null;
  const m = depth.metric;
  return card(
    "Depth",
    rows(
      m
        ? [["median", length(m.median_m, unit)], ["nearest 5 %", length(m.p05_m, unit)], ["farthest 5 %", length(m.p95_m, unit)]]
        : [["scale", "relative"]],
    ),
    ...depth.degraded.map((said) => paragraph(said)),
  );
}

export function lightCard({ lighting }) {
  if (!lighting) return null;
  const { ambient, dominant } = lighting;
  const most = Math.max(...ambient.rgb, 1e-6);
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = `rgb(${ambient.rgb.map((c) => Math.round(255 * (c / most) ** (1 / 2.2))).join(",")})`;
  return card(
    "Light",
    rows([
      ["level", ambient.level.toFixed(2)],
      ["colour", swatch],
      ["mostly from", `${side(dominant.azimuth_deg)}, ${Math.abs(Math.round(dominant.elevation_deg))}° ${dominant.elevation_deg < 0 ? "down" : "up"}`],
      ["directional", percent(dominant.strength)],
    ]),
  );
}

const side = (azimuth) => (Math.abs(azimuth) < 20 ? "ahead" : Math.abs(azimuth) > 160 ? "behind" : `${Math.abs(Math.round(azimuth))}° ${azimuth > 0 ? "right" : "left"}`);

/** Every export: of the server that serves the page; in a saved page what the page itself can make. */
export function downloadsCard(camera, unit) {
  const list = element("div", { className: "downloads" });
  const made = (name, make) => {
    const link = element("a", { href: "#", textContent: name });
    link.onclick = (event) => {
      event.preventDefault();
      save(`${camera.name}-${name}`, make());
    };
    list.append(link);
  };
  const there = { "depth.png": camera["depth/image"], "picture.jpg": camera.picture };
  if (saved) {
    if (camera.room) made("room.glb", () => new Blob([camera.room], { type: "model/gltf-binary" }));
    if (camera.layout?.metric) made("plan.svg", () => standalone(plan(camera.layout.metric, { unit, name: camera.name, partial: camera.layout.extent !== "room" })));
  } else if (camera.room || camera.layout) {
    const at = `/camera/${camera.id.split("/").map(encodeURIComponent).join("/")}/`;
    for (const name of EXPORTS.filter((name) => !(name in there) || there[name])) {
      list.append(element("a", { href: at + name + location.search, download: `${camera.name}-${name}`, textContent: name, title: ABOUT[name] ?? "" }));
    }
  }
  const json = (kind) => () => new Blob([JSON.stringify(camera[kind], null, 1)], { type: "application/json" });
  if (camera.layout) made("layout.json", json("layout"));
  if (camera.lighting) made("light.json", json("lighting"));
  return list.children.length ? card("Take it with you", list) : null;
}

function standalone(svg) {
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
  style.textContent =
    "text{font-family:sans-serif;fill:#222}.floor{fill:#fff}.wall{stroke:#222;stroke-linecap:round}.eye{fill:#e8590c}.size,.partial{fill:#666}.gap{stroke:#fff}.leaf{stroke:#a5501e;fill:none}";
  svg.prepend(style);
  return new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
}

export function healthCard({ name, info, health, state, events }) {
  const rates = health?.tasks.reduce((sum, { rate_hz }) => sum + rate_hz, 0);
  const made = card(
    name,
    rows([
      ["device", state?.state],
      ["version", info?.version],
      ["results", rates === undefined ? null : `${rates.toFixed(1)} a second`],
      ["memory", health && `${Math.round(health.memory_bytes / 2 ** 20)} MiB`],
      ["temperature", health?.temperature_celsius && `${Math.round(health.temperature_celsius)} °C`],
    ]),
    ...(health?.degraded ?? []).map((said) => paragraph(said)),
  );
  if (health?.degraded.length || state?.state === "offline") made.classList.add("trouble");
  if (events.length) made.append(element("ul", {}, ...events.map(({ camera, message }) => element("li", { textContent: camera ? `${camera}: ${message}` : message, className: "note" }))));
  return made;
}
