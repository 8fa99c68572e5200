// The live page: what devices publish, as a room one can turn, a plan, a picture and numbers.

import { calibration } from "./calibrate.js";
import { depthCard, downloadsCard, healthCard, lightCard, roomCard } from "./cards.js";
import { Connection, saved } from "./connection.js";
import { $, button, element, fill, renew } from "./elements.js";
import { flagButton } from "./flag.js";
import { LEVEL, area, length, pointsFromDepth } from "./geometry.js";
import { Behind, heatCard, legend, wallColours } from "./heat.js";
import { HomeView } from "./home.js";
import { Draft } from "./openings.js";
import { drawPicture } from "./picture.js";
import { plan } from "./plan.js";
import { decodePng16 } from "./png16.js";
import { Room3D } from "./room3d.js";
import { Sheet } from "./sheet.js";
import { Things } from "./things.js";

const text = new TextDecoder();
const KINDS = { depth: 1, layout: 1, lighting: 1, state: 1, room: 1, picture: 1, heat_loss: 1, objects: 1 };
const BINARY = new Set(["depth/image", "depth/view", "room", "picture", "objects/model"]);
const EVENTS = 5;
const BAR_PX = 20; // between a row of buttons and what is drawn
const VIEWS = { dollhouse: "Dollhouse", top: "Top", inside: "Inside", plan: "Plan", picture: "Camera", home: "Home", all: "All" };
const FLAT = { plan: "plan", picture: "picture", home: "home", all: "all" };

const devices = new Map(); // base topic -> {name, state, info, health, events, cameras: Map}
let chosen = null; // "device/camera"
let view = "dollhouse";
let unit = localStorage.getItem("unit") ?? "m";
let painted = null; // confidence | heat | null
let live = true;

/** For tests: what the page shows. */
window.state = { connected: false, frames: 0, cameras: [], glb: 0, light: 0, points: 0, view, unit, error: null, measured: null, firstMs: null, readyMs: null };
addEventListener("error", ({ message }) => (window.state.error = message));
addEventListener("unhandledrejection", ({ reason }) => (window.state.error = String(reason)));

const openings = new Draft(drawn);
const behind = new Behind(drawn);
const room3d = new Room3D($("room3d"), { onMeasure: measured, onWall: wallClicked, bars: () => [$("views"), $("below")].map(({ offsetHeight }) => offsetHeight + BAR_PX) });
room3d.unit = unit;
new ResizeObserver(() => room3d.refit()).observe($("below"));

document.querySelector("footer").hidden = Boolean(saved);
if (saved) for (const name of ["home", "all"]) delete VIEWS[name];
const connection = new Connection({
  onMessage: received,
  onState(up) {
    window.state.connected = up;
    $("connection").dataset.state = up ? "online" : "offline";
    $("connection").textContent = up ? (saved ? "saved" : "connected") : "not connected; trying again";
    if (up) devices.clear();
    if (up) for (const asker of [home, sheet]) asker.reconnected();
  },
  onAnswer(answer) {
    if ("span" in answer) spanKnown(answer.span);
    if (answer.draft) home.answered(answer.draft);
  },
});
const home = new HomeView($("home"), { ask: (draft) => connection.home(draft), cameras: allCameras, changed: soon });
home.unit = unit;
const things = new Things($("picture").querySelector("canvas"), { ask: (...what) => connection.thing(...what), changed: () => thingsChanged() });
const sheet = new Sheet($("picture").querySelector(".frame"), { ask: (...what) => connection.sheet(...what), changed: () => sheet.show(current()) });

// What comes in ------------------------------------------------------------------------------------------------------

function received(topic, payload) {
  window.state.frames++;
  window.state.firstMs ??= performance.now();
  const parts = topic.split("/");
  const known = payload.length ? text.decode(payload.subarray(0, 40)).includes('"edge.home/') : home.saved.has(parts.at(-1));
  if (parts.at(-2) === "home" && known) {
    home.heard(parts.at(-1), payload.length ? JSON.parse(text.decode(payload)) : null);
    return;
  }
  const at = parts.findIndex((part, i) => i >= 2 && (part === "bridge" || KINDS[parts[i + 1]]));
  if (at < 2) return;
  const device = deviceOf(parts.slice(0, at).join("/"), parts[at - 1]);
  if (parts[at] === "bridge") {
    if (["state", "info", "health", "event"].includes(parts[at + 1])) {
      const said = JSON.parse(text.decode(payload));
      if (parts[at + 1] === "event") device.events = [said, ...device.events].slice(0, EVENTS);
      else device[parts[at + 1]] = said;
      if (parts[at + 1] === "info") drawTools(); // what may be asked
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
  if (kind === "picture") {
    URL.revokeObjectURL(camera.url);
    camera.url = payload.length ? URL.createObjectURL(new Blob([payload], { type: "image/jpeg" })) : null;
  }
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

function allCameras() {
  return [...devices.values()].flatMap((device) => [...device.cameras.values()]);
}
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
    } else if (kind === "depth/image" && (layers.points || !camera.picture)) {
      await showDepth(camera); // else nobody sees it
    }
    if (kind === "layout" || kind === "heat_loss") drawn();
    if (kind === "objects") drawTools();
    if (["picture", "layout", "depth/image", "objects"].includes(kind)) await showPicture(camera);
  } catch (error) {
    window.state.error = `${kind}: ${error.message}`;
  }
  if (window.state.glb && window.state.light) window.state.readyMs ??= performance.now();
}

async function showPicture(camera) {
  await drawPicture($("picture"), camera, infoOf(camera));
  if (camera.picture || camera.grey) things.draw(camera);
  sheet.show(camera);
}

/** A box is being drawn, or an answer came. */
function thingsChanged() {
  const camera = current();
  if (camera) showPicture(camera);
  soon();
}

/** Something about walls changed: openings, colours, what is behind them. */
function drawn() {
  const camera = current();
  if (!camera?.layout?.metric) return;
  const holes = openings.all(camera);
  if (room3d.holes.length !== holes.length) drawTools(); // with or without a button for them
  room3d.showOpenings(holes);
  room3d.paint(wallColours(camera, painted));
  room3d.picking = openings.adding || painted === "heat";
  openings.panel(camera, unit);
  behind.panel(camera);
  soon();
}

/** A wall was clicked in the model. */
function wallClicked(name, place) {
  const camera = current();
  const number = Number(name.split("-")[1]);
  const wall = camera.layout.metric.walls[number];
  const side = camera.layout.metric.polygon_m.findIndex(([x, y]) => x === wall?.start_m[0] && y === wall?.start_m[1]);
  if (openings.adding) openings.clicked(camera, place);
  else if (side >= 0) behind.clicked(camera, side);
}

/** A wall was clicked on the plan. */
function planClicked(side, [x, y]) {
  if (openings.adding) openings.clicked(current(), [x, y, null]);
  else behind.clicked(current(), side);
}

async function showDepth(camera) {
  const { depth, layout } = camera;
  const png = camera["depth/image"];
  if (!png) return;
  camera.grey = await decodePng16(png);
  const placeable = depth?.image && depth.scale === "metric" && (depth.kind !== "z" || depth.lens);
  if (camera.id !== chosen || !layers.points || !placeable) return;
  const { width, height, counts } = camera.grey;
  const metres = Float32Array.from(counts, (count) => count * depth.image.value_per_count);
  const height_m = depth.pose?.height_m ?? layout?.metric?.camera_height_m ?? infoOf(camera)?.camera_height_m ?? 0;
  const { kind, lens, fisheye } = depth;
  const points = pointsFromDepth({ width, height, metres }, { kind, height_m, lens, fisheye, rotation: depth.pose?.rotation ?? LEVEL });
  room3d.showPoints(points, layout?.metric?.ceiling_height_m);
  window.state.points = points.length / 3;
}

const infoOf = (camera) => camera.device.info?.cameras.find(({ name }) => name === camera.name);

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
  if (view === "plan") {
    const as = { unit, name: camera?.name, partial: camera?.layout?.extent !== "room", onWall: planClicked };
    renew($("plan"), room && plan(room, { ...as, openings: openings.all(camera), colours: wallColours(camera, painted) }));
  }
  if (view === "all") drawAll();
  if (view === "home") home.refresh();
  const seen = { plan: room, picture: camera?.picture || camera?.grey, home: true, all: camera }[view] ?? camera?.room;
  $("empty").hidden = Boolean(seen);
  $("empty").textContent = emptyText(camera);
  Object.assign(window.state, { view, unit, painted, cameras: allCameras().map(({ id }) => id), chosen, openings: camera ? openings.all(camera).length : 0, things: room3d.things ?? 0 });
}

/** Every camera of every device: its picture or its plan, what it measures, and whether it is well. */
function drawAll() {
  const tiles = allCameras().map((camera) => {
    const room = camera.layout?.metric;
    const small = room ? plan(room, { unit, name: camera.name, openings: openings.all(camera), small: true }) : element("span", { className: "note", textContent: "no room yet" });
    const picture = camera.url && element("img", { src: camera.url, alt: "" });
    const name = element("b", { textContent: devices.size > 1 ? camera.id : camera.name });
    name.dataset.state = stateOf(camera);
    name.className = "lamp";
    const sizes = element("small", { textContent: room ? `${area(room.area_m2, unit)}, height ${length(room.ceiling_height_m, unit)}` : stateOf(camera) });
    return element("button", { className: "tile", onclick: () => (choose(camera.id), showView("dollhouse")) }, picture, small, name, sizes);
  });
  renew($("all"), ...tiles);
}

function emptyText(camera) {
  if (!camera) return "Waiting for a device…";
  if (view === "picture") return "No picture: neither pictures nor depth pictures are published by this camera.";
  if (camera.layout && !camera.layout.metric) return "The room has no scale yet: configure camera_height_m.";
  return "Waiting for this camera's room…";
}

let camerasShown = "";
function drawCameras() {
  const cameras = allCameras();
  const key = JSON.stringify([chosen, cameras.map((c) => [c.id, stateOf(c)])]);
  if (key === camerasShown) return;
  camerasShown = key;
  const several = devices.size > 1;
  fill(
    $("cameras"),
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
  openings.first = null;
  Object.assign(window.state, { points: 0, measured: null });
  const camera = current();
  for (const kind of ["layout", "lighting", "room", "depth/image", "objects"]) await shown(camera, kind);
  soon();
}

function drawFacts(camera) {
  if (!camera) return;
  const cards = cardsOf(camera).filter(Boolean);
  if ($("cards").contains(document.activeElement) && document.activeElement.tagName === "INPUT") return; // somebody types
  const open = $("cards").querySelector("details")?.open;
  for (const node of cards) {
    node.dataset.of = camera.id;
    for (const details of node.querySelectorAll("details")) details.open = Boolean(open);
  }
  const scroll = $("facts").scrollTop;
  renew($("cards"), ...cards);
  $("facts").scrollTop = scroll;
}

function cardsOf(camera) {
  if (view === "home") return home.cards();
  if (view === "all") return [...devices.values()].map(healthCard);
  return [roomCard(camera, unit, flagButton(camera, (id, then) => connection.flag(id, (answer) => (then(answer), soon())))), heatCard(camera), depthCard(camera, unit), lightCard(camera), things.card(camera, unit), downloadsCard(camera, unit), healthCard(camera.device)];
}

// What people do -------------------------------------------------------------------------------------------------------

function showView(name) {
  view = name;
  if (name !== "picture") drop();
  for (const [key, id] of Object.entries(FLAT)) $(id).hidden = key !== name;
  const flat = Boolean(FLAT[name]);
  $("room3d").hidden = flat;
  if (!flat) room3d.look(name);
  if (name === "home") home.draw();
  for (const panel of ["openings", "behind"]) $(panel).classList.toggle("away", name === "home" || name === "all");
  fill($("tabs"), ...Object.entries(VIEWS).map(([key, label]) => button(label, key === view, () => showView(key), "aria-selected")));
  $("unit").textContent = unit === "m" ? "m → ft" : "ft → m";
  $("tabs").querySelector('[aria-selected="true"]').scrollIntoView({ block: "nearest", inline: "center" }); // on phones they are a row to push
  $("calibrate").classList.toggle("away", flat);
  drawTools();
  drawn();
  redraw();
}

function changeUnit() {
  unit = unit === "m" ? "ft" : "m";
  localStorage.setItem("unit", unit);
  room3d.unit = home.unit = unit;
  room3d.clearMeasure();
  showView(view);
}

$("unit").onclick = changeUnit;

const layers = { room: true, ceiling: true, light: true, points: false, openings: true, objects: true };
const LAYERS = { room: "Walls", ceiling: "Ceiling", openings: "Doors", objects: "Objects", light: "Light probe", points: "Depth points" };

const trueLength = calibration($("calibrate"), () => ({ room: current()?.layout?.metric, measured: window.state.measured, name: current()?.name, unit }));

/** The buttons below the room: layers, walls in colours, measuring, adding doors and windows. */
function drawTools() {
  const model = !FLAT[view];
  const holes = current() && openings.all(current()).length;
  $("below").hidden = (!model && view !== "plan" && view !== "picture") || (saved && view === "picture");
  if (view === "picture") {
    const toggle = (label, what, on, title) => tool(label, on, () => (drop(), what.start(!on), drawTools()), title);
    const boxes = Things.may(current()) && toggle("Reconstruct a thing", things, things.asking);
    fill($("tools"), boxes, toggle("Sheet on the floor", sheet, sheet.adding, "Height and tilt of the camera, from the corners of a sheet of paper"));
    fill($("legend"));
    return;
  }
  const parts = [];
  if (model) {
    for (const [name, label] of Object.entries(LAYERS)) {
      if (name === "ceiling" && view !== "inside") continue; // from above it is in the way
      if (name === "objects" && !current()?.objects?.count) continue;
      if (name === "openings" && !holes) continue;
      parts.push(button(label, layers[name], () => setLayer(name, !layers[name])));
    }
    parts.push(tool("Measure", room3d.measuring, () => act("measure", !room3d.measuring), "Click two points; ± is one pixel of the network's picture"));
    if (!saved) parts.push(tool("True length", trueLength.isOpen, () => (trueLength.open(!trueLength.isOpen), drawTools()), "Correct the camera's height by a length you know"));
  }
  const camera = current();
  parts.push(button("Confidence", painted === "confidence", () => paint("confidence")));
  const heat = button("Heat loss", painted === "heat", () => paint("heat"));
  heat.title = "Walls in the colour of what they lose; click one to say what is behind it";
  parts.push(heat);
  if (painted === "heat" && camera?.layout?.metric) parts.push(button("What is behind the walls", null, () => (behind.clicked(camera, null), $("behind").querySelector("select")?.focus())));
  if (!saved) parts.push(tool("Add door or window", openings.adding, () => act("opening", !openings.adding)));
  const said = painted === "heat" && camera && !camera.heat_loss ? element("p", { className: "legend", textContent: "No heat loss is configured: click or tap a wall to say what is behind it, or press the button." }) : legend(painted);
  fill($("legend"), said);
  fill($("tools"), ...parts);
}

/** A button of what takes clicks until it is left. */
function tool(label, on, toggle, title = "") {
  const node = Object.assign(button(label, on, toggle), { title });
  node.dataset.tool = label;
  return node;
}

function setLayer(name, on) {
  layers[name] = on;
  room3d.setLayer(name, on);
  const camera = current();
  if (name === "points" && on && camera) shown(camera, "depth/image");
  drawTools();
}

function paint(as) {
  painted = painted === as ? null : as;
  drawTools();
  drawn();
}

/** Leave what is done on the picture. */
function drop() {
  for (const [tool, on] of [[things, things.asking], [sheet, sheet.adding]]) if (on) tool.start(false);
}

/** Clicks do one thing at a time. */
function act(what, on) {
  room3d.measuring = what === "measure" && on;
  if (!room3d.measuring) room3d.clearMeasure();
  openings.start(what === "opening" && on);
  drawTools();
}

/** Leave the tool that is in hand; the keyboard goes back to its button. */
function leave() {
  const left = $("tools").querySelector('[data-tool][aria-pressed="true"]')?.dataset.tool;
  drop();
  trueLength.open(false);
  act(null, false);
  if (left) [...$("tools").children].find(({ dataset }) => dataset.tool === left)?.focus();
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
    $("time").textContent = "now";
  }
  window.state.live = live;
}

addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
  const views = Object.keys(VIEWS);
  if (ctrlKey || metaKey || altKey) return; // the browser's own
  if (key === "Escape") leave();
  if (!["INPUT", "SELECT"].includes(target.tagName) && key >= "1" && key <= String(views.length)) showView(views[key - 1]);
});
for (const [name, on] of Object.entries(layers)) room3d.setLayer(name, on);
showView(view);
