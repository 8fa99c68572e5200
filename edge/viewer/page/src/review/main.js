// The review page: pictures that were put aside, one after the other, with the room that was inferred, to be corrected.

import { area, length } from "../geometry.js";
import { Room3D } from "../room3d.js";
import * as edit from "./corners.js";
import { Editor } from "./editor.js";
import { Server, fetched } from "./server.js";

const $ = (id) => document.getElementById(id);
const PREVIEW_MS = 250;
const RULES_SHOWN = 6;

let entries = []; // [{name, camera, captured_at, note, reasons, editable, status}]
let current = null; // name
let past = []; // rooms before
let future = []; // rooms undone
let rejecting = false;

/** For tests: what the page shows. */
window.state = { entry: null, entries: 0, room: null, handles: [], changed: false, problem: null, glb: 0, error: null };
addEventListener("error", ({ message }) => (window.state.error = message));
addEventListener("unhandledrejection", ({ reason }) => fail(reason));

const room3d = new Room3D($("room3d"), { onMeasure: () => "" });
const editor = new Editor($("picture"), {
  onChange: (room, done) => (done ? changed(room) : shown()),
  onSelect: shown,
  onAdd: (u) => added(edit.added(editor.room, u)),
});
const server = new Server((up) => {
  $("connection").dataset.state = up ? "online" : "offline";
  $("connection").textContent = up ? "connected" : "not connected; trying again";
});

function fail(error) {
  window.state.error = String(error?.message ?? error);
  $("said").textContent = window.state.error;
  $("said").classList.add("trouble");
}

// Entries ----------------------------------------------------------------------------------------------------------------

async function listed(next = null) {
  ({ entries } = await server.ask({ list: true }));
  const waiting = entries.filter(({ status }) => status === "waiting");
  $("entries").replaceChildren(
    ...entries.map(({ name, camera, captured_at, status }) =>
      Object.assign(document.createElement("option"), { value: name, textContent: `${camera}, ${when(captured_at)}${status === "waiting" ? "" : `, ${status}`}` }),
    ),
  );
  await opened(next ?? waiting[0]?.name ?? null);
}

const when = (time) => new Date(time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

async function opened(name) {
  current = name;
  past = [];
  future = [];
  armed(false);
  const entry = entries.find((e) => e.name === name);
  $("nothing").hidden = Boolean(entry);
  $("picture").hidden = !entry?.picture;
  if (entry) $("entries").value = name;
  if (entry?.picture) {
    const about = await (await fetched(name, "about.json")).json();
    const image = await createImageBitmap(await (await fetched(name, "picture.jpg")).blob());
    const layout = about.results?.layout;
    const found = edit.roomOf(layout, about.picture.camera_height_m);
    const room = about.label?.room ? labelled(about.label) : edit.simplified(found);
    editor.show(image, room, entry.editable);
    editor.before = edit.scaled(found, room.cameraHeight);
    room3d.clear();
    preview();
  } else {
    editor.show(null, null, false);
    room3d.clear();
  }
  reasons(entry);
  shown();
}

function labelled({ room }) {
  const corners = room.polygon_m.map(([x, y]) => ({ x, y }));
  return { corners, cameraHeight: room.camera_height_m, ceilingHeight: room.ceiling_height_m };
}

function reasons(entry) {
  const said = entry ? [...entry.reasons.slice(0, RULES_SHOWN), ...(entry.note ? [`“${entry.note}”`] : [])] : [];
  if (entry && !entry.picture) said.push(`No picture: ${entry.missing ?? "none was kept"}. There are numbers alone, to look at and delete.`);
  else if (entry && !entry.editable) said.push("A label has every corner of a room, and this camera sees a part of it: add a panorama from its place with edge review --add, or look and delete.");
  $("reasons").replaceChildren(...said.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

/** The next that waits after this one, or the first. */
function next() {
  const waiting = entries.filter(({ status }) => status === "waiting").map(({ name }) => name);
  const later = entries.slice(entries.findIndex(({ name }) => name === current) + 1).find(({ status }) => status === "waiting");
  return later?.name ?? waiting.find((name) => name !== current) ?? null;
}

// Changes ------------------------------------------------------------------------------------------------------------------

/** A change was made: remember how it was. */
function changed(room) {
  past.push(window.state.before);
  future = [];
  editor.room = room;
  editor.selected = Math.min(editor.selected, room.corners.length - 1);
  editor.draw();
  shown();
  preview();
}

function added(found) {
  if (!found) return;
  editor.selected = found.corner;
  changed(found.room);
}

function undone(from, to) {
  if (!from.length) return;
  to.push(editor.room);
  editor.room = from.pop();
  editor.selected = Math.min(editor.selected, editor.room.corners.length - 1);
  editor.draw();
  shown();
  preview();
}

let previewing = 0;
function preview() {
  clearTimeout(previewing);
  previewing = setTimeout(async () => {
    if (!editor.editable || edit.problem(editor.room)) return;
    const [name, room] = [current, editor.room];
    try {
      const { model } = await server.ask({ model: name, room: edit.said(room) });
      if (name !== current) return;
      await room3d.showModel(model);
      const wall = (a, b) => ({ start_m: [a.x, a.y], end_m: [b.x, b.y], length_m: Math.hypot(b.x - a.x, b.y - a.y) });
      room3d.showWalls(room.corners.map((a, i) => wall(a, room.corners[(i + 1) % room.corners.length])), 0.05);
      window.state.glb++;
    } catch (error) {
      fail(error);
    }
  }, PREVIEW_MS);
}

// What is shown --------------------------------------------------------------------------------------------------------------

function shown() {
  const { room, editable } = editor;
  const waiting = entries.filter(({ status }) => status === "waiting");
  const at = waiting.findIndex(({ name }) => name === current);
  $("progress").textContent = at >= 0 ? `${at + 1} of ${waiting.length}` : `${waiting.length} waiting, ${entries.length - waiting.length} labelled`;
  const unlike = Boolean(past.length);
  const wrong = editable && room ? edit.problem(room) : null;
  const sizes = room && editable ? `${area(edit.areaM2(room), "m")}, ${length(room.ceilingHeight, "m")} high, ${room.corners.length} corners` : "";
  $("said").textContent = wrong ?? sizes;
  $("said").classList.toggle("trouble", Boolean(wrong));
  const corner = editable ? room?.corners[editor.selected] : null;
  $("corner").textContent = corner ? `corner ${editor.selected + 1}: ${where(corner)}` : "";
  if (document.activeElement !== $("height")) $("height").value = room ? room.cameraHeight.toFixed(2) : "";
  $("accept").textContent = unlike ? "Save correction" : "Accept";
  $("accept").disabled = !editable || Boolean(wrong);
  $("reject").disabled = $("skip").disabled = !current;
  for (const node of document.querySelectorAll("#tools button, #height")) node.disabled = !editable;
  $("undo").disabled = !past.length;
  $("redo").disabled = !future.length;
  for (const b of ["floor", "ceiling"]) $(`${b}Hidden`).setAttribute("aria-pressed", String(Boolean(corner?.[`${b}Hidden`])));
  if (!editor.held) window.state.before = room;
  Object.assign(window.state, { entry: current, entries: waiting.length, room, changed: unlike, problem: wrong });
}

const where = ({ x, y }) => `${length(Math.abs(x), "m")} ${x < 0 ? "left" : "right"}, ${length(Math.abs(y), "m")} ${y < 0 ? "behind" : "ahead"}`;

// What people do -------------------------------------------------------------------------------------------------------------

async function saved() {
  if ($("accept").disabled) return;
  const after = next();
  const status = past.length ? "corrected" : "accepted";
  await server.ask({ save: current, room: edit.said(editor.room), hidden: edit.hiddenSpans(editor.room), status }).then(() => listed(after), fail);
}

function armed(on) {
  rejecting = on;
  $("reject").textContent = on ? "Really delete the picture?" : "Reject";
}

async function rejected() {
  if (!rejecting) return armed(true);
  const after = next();
  await server.ask({ reject: current }).then(() => listed(after), fail);
}

const hide = (boundary) => {
  const key = `${boundary}Hidden`;
  changed({ ...editor.room, corners: editor.room.corners.map((c, i) => (i === editor.selected ? { ...c, [key]: !c[key] } : c)) });
};
const edges = () => {
  editor.showEdges = !editor.showEdges;
  $("edges").setAttribute("aria-pressed", String(editor.showEdges));
  editor.draw();
};
const cycle = (by) => {
  editor.selected = (editor.selected + by + editor.room.corners.length) % editor.room.corners.length;
  editor.draw();
  shown();
};

const ACTIONS = {
  accept: saved,
  skip: () => opened(next()),
  reject: rejected,
  undo: () => undone(past, future),
  redo: () => undone(future, past),
  add: () => added(edit.split(editor.room, editor.selected)),
  remove: () => changed(edit.removed(editor.room, editor.selected)),
  square: () => changed(edit.squared(editor.room)),
  occlusion: () => changed(edit.occlusionToggled(editor.room, editor.selected)),
  floorHidden: () => hide("floor"),
  ceilingHidden: () => hide("ceiling"),
  edges,
  closer: () => editor.zoomBy(1.4),
  away: () => editor.zoomBy(1 / 1.4),
};
for (const [id, act] of Object.entries(ACTIONS)) $(id).onclick = act;
document.addEventListener("click", ({ target }) => target !== $("reject") && rejecting && armed(false));
$("entries").onchange = ({ target }) => opened(target.value);
$("height").onchange = ({ target }) => {
  const metres = Number(target.value);
  if (metres >= 0.2 && metres <= 10) changed(edit.scaled(editor.room, metres));
  else shown();
};

const KEYS = { Enter: "accept", s: "skip", x: "reject", m: "square", o: "occlusion", e: "edges", f: "floorHidden", c: "ceilingHidden", n: "add", Delete: "remove", Backspace: "remove", "+": "closer", "-": "away" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (["INPUT", "SELECT"].includes(target.tagName) || (target.tagName === "BUTTON" && key === "Enter") || $("room3d").contains(target)) return;
  if ((event.ctrlKey || event.metaKey) && ["z", "y", "Z"].includes(key)) ACTIONS[key === "z" ? "undo" : "redo"]();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (ARROWS[key] && editor.editable) editor.nudge(event.shiftKey ? "ceiling" : "floor", ARROWS[key]);
  else if ("[]".includes(key) && editor.editable) cycle(key === "[" ? -1 : 1);
  else if (KEYS[key] && !$(KEYS[key]).disabled) ACTIONS[KEYS[key]]();
  else return;
  event.preventDefault();
});
Object.defineProperty(window.state, "handles", { get: () => editor.handles() });
window.state.place = (spot) => editor.onPage(spot);
listed();
