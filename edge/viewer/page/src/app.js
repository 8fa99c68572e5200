// The live page: what devices publish, as a room one can turn, a plan, a picture and numbers.

import { Connection, saved } from "./connection.js";
import { flagButton } from "./flag.js";
import { LEVEL, area, length, pointsFromDepth, volume } from "./geometry.js";
import { plan } from "./plan.js";
import { decodePng16 } from "./png16.js";
import { Room3D } from "./room3d.js";

const $ = (id) => document.getElementById(id);
const text = new TextDecoder();
const KINDS = { depth: "depth", layout: "layout", lighting: "lighting", state: "state", room: "room", picture: "picture" };
const BINARY = new Set(["depth/image", "depth/view", "room", "picture"]);
const EVENTS = 5;
const VIEWS = { dollhouse: "Dollhouse", top: "Top", inside: "Inside", plan: "Plan", picture: "Camera" };

const devices = new Map(); // name -> {state, info, health, events, cameras: Map}
let chosen = null; // "device/camera"
let view = "dollhouse";
let unit = localStorage.getItem("unit") ?? "m";
let live = true;

/** For tests: what the page shows. */
window.state = { connected: false, frames: 0, cameras: [], glb: 0, light: 0, points: 0, view, unit, error: null, measured: null };
addEventListener("error", ({ message }) => (window.state.error = message));
addEventListener("unhandledrejection", ({ reason }) => (window.state.error = String(reason)));

const room3d = new Room3D($("room3d"), { onMeasure: measured });
room3d.unit = unit;

document.querySelector("footer").hidden = Boolean(saved);
const connection = new Connection({
  onMessage: received,
  onState(up) {
    window.state.connected = up;
    $("connection").dataset.state = up ? "online" : "offline";
    $("connection").textContent = up ? (saved ? "saved" : "connected") : "not connected; trying again";
    if (up) devices.clear();
  },
  onSpan: spanKnown,
});

// What comes in ------------------------------------------------------------------------------------------------------

function received(topic, payload) {
  window.state.frames++;
  const parts = topic.split("/");
  const at = parts.findIndex((part, i) => i >= 2 && (part === "bridge" || KINDS[parts[i + 1]]));
  if (at < 2) return;
  const device = deviceOf(parts.slice(0, at).join("/"), parts[at - 1]);
  if (parts[at] === "bridge") {
    if (["state", "info", "health", "event"].includes(parts[at + 1])) {
      const said = JSON.parse(text.decode(payload));
      if (parts[at + 1] === "event") device.events = [said, ...device.events].slice(0, EVENTS);
      else device[parts[at + 1]] = said;
      soon();
    }
    return;
  }
  const camera = cameraOf(device, parts[at]);
  const kind = parts.slice(at + 1).join("/");
  if (!payload.length) {
    delete camera[kind];
    if (kind === "state") device.cameras.delete(parts[at]);
  } else if (BINARY.has(kind)) camera[kind] = payload;
  else camera[kind] = JSON.parse(text.decode(payload));
  chosen ??= camera.id;
  if (camera.id === chosen) shown(camera, kind);
  soon();
}

function deviceOf(base, name) {
  if (!devices.has(base)) devices.set(base, { name, events: [], cameras: new Map() });
  return devices.get(base);
}

function cameraOf(device, name) {
  if (!device.cameras.has(name)) device.cameras.set(name, { id: `${device.name}/${name}`, name, device });
  return device.cameras.get(name);
}

const allCameras = () => [...devices.values()].flatMap((device) => [...device.cameras.values()]);
const current = () => allCameras().find(({ id }) => id === chosen);

// What is drawn --------------------------------------------------------------------------------------------------------

/** A camera's message of one kind has come: show it. */
async function shown(camera, kind) {
  try {
    if (kind === "room" && camera.room) {
      await room3d.showModel(camera.room);
      window.state.glb++;
    } else if (kind === "lighting" && camera.lighting) {
      room3d.showLight(camera.lighting.coefficients, camera.lighting.ambient.level);
      window.state.light++;
    } else if (kind === "layout" && camera.layout?.metric) {
      room3d.heightM = camera.layout.metric.camera_height_m;
      room3d.showWalls(camera.layout.metric.walls, 0.05);
    } else if (kind === "depth/image") {
      await showPoints(camera);
    }
    if (kind === "picture" || kind === "layout" || kind === "depth/image") await drawPicture(camera);
  } catch (error) {
    window.state.error = `${kind}: ${error.message}`;
  }
}

async function showPoints(camera) {
  const { depth, layout } = camera;
  const png = camera["depth/image"];
  if (!png || !depth?.image || depth.scale !== "metric") return;
  if (depth.kind === "z" && !depth.lens) return;
  const { width, height, counts } = await decodePng16(png);
  const metres = Float32Array.from(counts, (count) => count * depth.image.value_per_count);
  const heightM = depth.pose?.height_m ?? layout?.metric?.camera_height_m ?? infoOf(camera)?.camera_height_m ?? 0;
  const rotation = depth.pose?.rotation ?? LEVEL;
  const { kind, lens, fisheye } = depth;
  const points = pointsFromDepth({ width, height, metres }, { kind, height_m: heightM, lens, fisheye, rotation });
  camera.grey = { width, height, counts };
  if (camera.id !== chosen) return;
  room3d.showPoints(points, layout?.metric?.ceiling_height_m);
  window.state.points = points.length / 3;
}

const infoOf = (camera) => camera.device.info?.cameras.find(({ name }) => name === camera.name);

/** The camera's picture, or its depth where no picture is published, with the room's edges on it. */
async function drawPicture(camera) {
  const figure = $("picture");
  const canvas = figure.querySelector("canvas");
  const context = canvas.getContext("2d");
  if (camera.picture) {
    const bitmap = await createImageBitmap(new Blob([camera.picture], { type: "image/jpeg" }));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
  } else if (camera.grey) drawDepth(canvas, context, camera.grey);
  else return;
  figure.querySelector("figcaption").textContent = camera.picture
    ? "The camera's picture; lines: where walls meet floor and ceiling"
    : "Depth, near is bright; to see the camera's picture, have it published: picture in its configuration";
  if (infoOf(camera)?.projection === "equirectangular" && camera.layout) drawBoundary(canvas, context, camera.layout.boundary);
}

function drawDepth(canvas, context, { width, height, counts }) {
  [canvas.width, canvas.height] = [width, height];
  const image = context.createImageData(width, height);
  const sorted = counts.filter((c) => c).sort();
  const [near, far] = [sorted[Math.floor(sorted.length * 0.02)] || 1, sorted[Math.floor(sorted.length * 0.98)] || 2];
  counts.forEach((count, i) => {
    const t = count ? Math.min(1, Math.max(0, 1 - (count - near) / (far - near))) : 0;
    image.data.set([255 * t ** 1.4, 40 + 190 * t, 90 + 120 * (1 - Math.abs(2 * t - 1)), count ? 255 : 0], i * 4);
  });
  context.putImageData(image, 0, 0);
}

function drawBoundary(canvas, context, { ceiling_rad, floor_rad }) {
  for (const [rows, colour] of [[ceiling_rad, "#38d9a9"], [floor_rad, "#ff6b35"]]) {
    context.beginPath();
    let pen = false;
    rows.forEach((latitude, i) => {
      if (latitude === null) pen = false;
      else {
        const [x, y] = [((i + 0.5) / rows.length) * canvas.width, (0.5 - latitude / Math.PI) * canvas.height];
        pen ? context.lineTo(x, y) : context.moveTo(x, y);
        pen = true;
      }
    });
    context.strokeStyle = colour;
    context.lineWidth = Math.max(1, canvas.width / 400);
    context.stroke();
  }
}

// The frame around it --------------------------------------------------------------------------------------------------

let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    redraw();
  });
}

function redraw() {
  const camera = current();
  drawCameras();
  drawFacts(camera);
  const room = camera?.layout?.metric;
  $("plan").replaceChildren(...(room ? [plan(room, { unit, name: camera.name, partial: camera.layout.extent !== "room" })] : []));
  const seen = { plan: room, picture: camera?.picture || camera?.grey }[view] ?? camera?.room;
  $("empty").hidden = Boolean(seen);
  $("empty").textContent = emptyText(camera);
  Object.assign(window.state, { view, unit, cameras: allCameras().map(({ id }) => id), chosen });
}

function emptyText(camera) {
  if (!camera) return "Waiting for a device…";
  if (view === "picture") return "No picture: neither pictures nor depth pictures are published by this camera.";
  if (camera.layout && !camera.layout.metric) return "The room has no scale yet: configure camera_height_m.";
  return "Waiting for this camera's room…";
}

function button(label, pressed, act, kind = "aria-pressed") {
  const node = Object.assign(document.createElement("button"), { textContent: label, onclick: act });
  node.setAttribute(kind, String(pressed));
  if (kind === "aria-selected") node.setAttribute("role", "tab");
  return node;
}

let camerasShown = "";
function drawCameras() {
  const cameras = allCameras();
  const key = JSON.stringify([chosen, cameras.map((c) => [c.id, stateOf(c)])]);
  if (key === camerasShown) return;
  camerasShown = key;
  const several = devices.size > 1;
  $("cameras").replaceChildren(
    ...cameras.map((camera) => {
      const node = button(several ? camera.id : camera.name, camera.id === chosen, () => choose(camera.id));
      node.dataset.state = stateOf(camera);
      node.title = camera.state?.error ?? stateOf(camera);
      return node;
    }),
  );
}

const stateOf = (camera) => (camera.device.state?.state === "offline" ? "offline" : (camera.state?.state ?? "unknown"));

async function choose(id) {
  chosen = id;
  room3d.clear();
  window.state.points = 0;
  const camera = current();
  for (const kind of ["layout", "lighting", "room", "depth/image"]) await shown(camera, kind);
  soon();
}

function card(title, ...content) {
  const node = Object.assign(document.createElement("section"), { className: "card" });
  node.append(Object.assign(document.createElement("h2"), { textContent: title }), ...content.filter(Boolean));
  return node;
}

function rows(pairs) {
  const list = document.createElement("dl");
  for (const [name, value] of pairs.filter(([, value]) => value !== undefined && value !== null)) {
    const dd = document.createElement("dd");
    dd.append(value);
    list.append(Object.assign(document.createElement("dt"), { textContent: name }), dd);
  }
  return list;
}

const paragraph = (said, className = "note") => Object.assign(document.createElement("p"), { textContent: said, className });
const percent = (value) => `${Math.round(100 * value)} %`;

function drawFacts(camera) {
  if (!camera) return;
  const cards = [roomCard(camera), depthCard(camera), lightCard(camera), downloadsCard(camera), healthCard(camera.device)];
  const aside = $("facts");
  const scroll = aside.scrollTop;
  aside.replaceChildren(...cards.filter(Boolean));
  aside.scrollTop = scroll;
}

function roomCard(camera) {
  const { layout } = camera;
  if (!layout) return null;
  const room = layout.metric;
  if (!room) return card("Room", paragraph("Sizes are relative: configure camera_height_m for metres."));
  return card(
    "Room",
    paragraph(area(room.area_m2, unit), "big"),
    rows([
      ["height", length(room.ceiling_height_m, unit)],
      ["volume", volume(room.volume_m3, unit)],
      ["walls", String(room.walls.length)],
      ["confidence", percent(layout.confidence)],
      ["fit", layout.fit],
    ]),
    layout.extent !== "room" && paragraph("Only what this camera sees; the room goes on behind it."),
    paragraph(layout.fit_reason),
    flagButton(camera, (id, then) => connection.flag(id, (answer) => (then(answer), soon()))),
  );
}

function depthCard({ depth }) {
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

function lightCard({ lighting }) {
  if (!lighting) return null;
  const { ambient, dominant } = lighting;
  const most = Math.max(...ambient.rgb, 1e-6);
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = `rgb(${ambient.rgb.map((c) => Math.round(255 * (c / most) ** (1 / 2.2))).join(",")})`;
  return card(
    "Light",
    rows([
      ["level", ambient.level.toFixed(2)],
      ["colour", swatch],
      ["mostly from", `${side(dominant.azimuth_deg)}, ${Math.round(dominant.elevation_deg)}°`],
      ["directional", percent(dominant.strength)],
    ]),
  );
}

const side = (azimuth) => (Math.abs(azimuth) < 20 ? "ahead" : Math.abs(azimuth) > 160 ? "behind" : `${Math.abs(Math.round(azimuth))}° ${azimuth > 0 ? "right" : "left"}`);

function downloadsCard(camera) {
  const list = Object.assign(document.createElement("div"), { className: "downloads" });
  const add = (name, make) => {
    const link = Object.assign(document.createElement("a"), { href: "#", textContent: name });
    link.onclick = (event) => {
      event.preventDefault();
      save(`${camera.name}-${name}`, make());
    };
    list.append(link);
  };
  if (camera.room) add("room.glb", () => new Blob([camera.room], { type: "model/gltf-binary" }));
  if (camera.layout?.metric) {
    add("plan.svg", () => standalone(plan(camera.layout.metric, { unit, name: camera.name, partial: camera.layout.extent !== "room" })));
    add("layout.json", () => new Blob([JSON.stringify(camera.layout, null, 1)], { type: "application/json" }));
  }
  if (camera.lighting) add("light.json", () => new Blob([JSON.stringify(camera.lighting, null, 1)], { type: "application/json" }));
  if (camera["depth/image"]) add("depth.png", () => new Blob([camera["depth/image"]], { type: "image/png" }));
  return list.children.length ? card("Take it with you", list) : null;
}

function standalone(svg) {
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
  style.textContent =
    "text{font-family:sans-serif;fill:#222}.floor{fill:#fff}.wall{stroke:#222;stroke-linecap:round}.eye{fill:#e8590c}.size,.note{fill:#666}";
  svg.prepend(style);
  return new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
}

function save(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function healthCard({ name, info, health, state, events }) {
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
  if (events.length) {
    const list = document.createElement("ul");
    list.append(...events.map((e) => Object.assign(document.createElement("li"), { textContent: e.message, className: "note" })));
    made.append(list);
  }
  return made;
}

// What people do -------------------------------------------------------------------------------------------------------

function showView(name) {
  view = name;
  const flat = name === "plan" || name === "picture";
  $("plan").hidden = name !== "plan";
  $("picture").hidden = name !== "picture";
  $("room3d").hidden = flat;
  $("tools").hidden = flat;
  if (!flat) room3d.look(name);
  $("views").replaceChildren(
    ...Object.entries(VIEWS).map(([key, label]) => button(label, key === view, () => showView(key), "aria-selected")),
    button(unit === "m" ? "m → ft" : "ft → m", false, changeUnit),
  );
  soon();
}

function changeUnit() {
  unit = unit === "m" ? "ft" : "m";
  localStorage.setItem("unit", unit);
  room3d.unit = unit;
  room3d.draw();
  showView(view);
}

function toggles() {
  const tool = (label, on, act, title = "") => {
    const node = button(label, on, () => {
      const now = node.getAttribute("aria-pressed") !== "true";
      node.setAttribute("aria-pressed", String(now));
      act(now);
    });
    node.title = title;
    return node;
  };
  room3d.setLayer("points", false);
  $("tools").replaceChildren(
    tool("Walls", true, (on) => room3d.setLayer("room", on)),
    tool("Ceiling", true, (on) => room3d.setLayer("ceiling", on)),
    tool("Light probe", true, (on) => room3d.setLayer("light", on)),
    tool("Depth points", false, (on) => room3d.setLayer("points", on)),
    tool("Measure", false, (on) => (room3d.measuring = on), "Click two points; ± is one pixel of the network's picture"),
  );
}

/**
 * The text beside a measured line between two points (three.js axes). Its error is what one pixel of the network's
 * canvas comes to at those distances: distance squared over camera height, times the pixel's angle.
 */
function measured(a, b) {
  const { boundary, metric } = current().layout;
  const pixelRad = (2 * Math.PI) / boundary.floor_rad.length;
  const error = Math.hypot(...[a, b].map((p) => ((p.x ** 2 + p.z ** 2) / metric.camera_height_m) * pixelRad));
  const metres = a.distanceTo(b);
  window.state.measured = metres;
  return `${length(metres, unit)} ± ${length(error, unit)}`;
}

// Looking back ---------------------------------------------------------------------------------------------------------

let span = null;
setInterval(() => connection.askSpan(), 2000);

function spanKnown(found) {
  span = found;
  $("scrub").disabled = !span || span[1] - span[0] < 2;
}

$("scrub").oninput = () => {
  if (!span) return;
  const at = span[0] + ((span[1] - span[0]) * $("scrub").value) / 1000;
  setLive(false);
  $("time").textContent = new Date(at * 1000).toLocaleTimeString();
  connection.show(at);
};
$("live").onclick = () => {
  setLive(true);
  connection.show(null);
};

function setLive(on) {
  live = on;
  $("live").setAttribute("aria-pressed", String(on));
  if (on) {
    $("scrub").value = 1000;
    $("time").textContent = "";
  }
  window.state.live = live;
}

addEventListener("keydown", ({ key, target }) => {
  const views = Object.keys(VIEWS);
  if (target.tagName !== "INPUT" && key >= "1" && key <= String(views.length)) showView(views[key - 1]);
});
toggles();
showView(view);
