// The room in three dimensions: its model, the inferred light, the depth as points, labels, and measuring.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { length, probeCoefficients, toScene } from "./geometry.js";
import { modelOf } from "./model.js";

const PROBE_M = 0.22;
const LABELS = 12;
const TURN_MS = 400;
const KEY_RAD = 0.08;
const MARGIN = 1.04;
const UNKNOWN_HEIGHT_M = 2;

export class Room3D {
  /**
   * @param host the element to draw in. @param onMeasure gives the text for two clicked points
   * @param onWall called with (name of the surface, [x, y, z] in the room) where `picking` is on
   * @param bars gives how much of the host's height is covered above and below, px
   */
  constructor(host, { onMeasure, onWall, bars = () => [0, 0] }) {
    this.host = host;
    this.bars = bars;
    this.onMeasure = onMeasure;
    this.onWall = onWall;
    this.unit = "m";
    this.measuring = this.picking = false;
    this.colours = null;
    this.holes = [];
    this.renderer = new THREE.WebGLRenderer({
      antialias: true,
      alpha: true,
      preserveDrawingBuffer: new URLSearchParams(location.search).has("test"),
    });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    host.append(this.renderer.domElement);
    this.renderer.domElement.tabIndex = 0;
    this.renderer.domElement.setAttribute("aria-label", "The room in three dimensions; arrow keys turn it, plus and minus go nearer, Enter clicks its middle");
    this.labels = Object.assign(document.createElement("div"), { className: "labels" });
    this.crosshair = Object.assign(document.createElement("i"), { className: "crosshair", hidden: true });
    host.append(this.labels);

    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(50, 1, 0.05, 200);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.enableDamping = false;
    this.controls.addEventListener("change", () => this.draw());
    this.controls.addEventListener("start", () => (this.moved = true));
    this.renderer.domElement.addEventListener("keydown", (e) => this.#key(e));
    this.renderer.domElement.addEventListener("wheel", (e) => this.#zoomInside(e.deltaY * 0.03), { passive: true });
    this.probe = new THREE.LightProbe();
    this.scene.add(this.probe);
    this.layers = { room: new THREE.Group(), ceiling: true, points: new THREE.Group(), light: new THREE.Group(), objects: true };
    this.marks = new THREE.Group();
    this.layers.openings = new THREE.Group();
    this.scene.add(this.layers.room, this.layers.points, this.layers.light, this.layers.openings, this.marks);
    this.#makeProbe();

    this.newest = 0;
    this.picked = [];
    new ResizeObserver(() => this.#resize()).observe(host);
    this.renderer.domElement.addEventListener("pointerdown", (e) => (this.down = [e.clientX, e.clientY]));
    this.renderer.domElement.addEventListener("pointerup", (e) => this.#clicked(e));
    this.#resize();
  }

  /** Show another camera's room: forget this one. */
  clear() {
    this.newest++;
    for (const group of [this.layers.room, this.layers.points, this.layers.openings, this.marks]) empty(group);
    this.walls = this.holes = [];
    this.picked = [];
    this.layers.light.visible = false;
    this.room = null;
    this.draw();
  }

  /** The room's model; resolves when it is shown. */
  async showModel(bytes) {
    const mine = ++this.newest;
    const scene = await modelOf(bytes);
    if (mine !== this.newest) {
      empty(scene);
      return;
    }
    empty(this.layers.room);
    this.layers.room.add(scene);
    const box = new THREE.Box3().setFromObject(scene);
    const first = !this.room;
    this.room = { centre: box.getCenter(new THREE.Vector3()), corners: cornersOf(scene) };
    this.layers.light.position.set(0, Math.max(0.3, box.min.y + (box.max.y - box.min.y) * 0.45), 0);
    this.#showCeiling();
    this.#showObjects();
    this.#showOpenings();
    this.paint(this.colours);
    if (first) this.look(this.view ?? "dollhouse", { at: "once" });
    this.draw();
  }

  /** Show walls in colours, {number: {colour}}; null: as they look. */
  paint(colours) {
    this.colours = colours;
    this.layers.room.traverse((node) => {
      const wall = node.isMesh && /^wall-(\d+)$/.exec(node.name);
      if (!wall) return;
      const colour = colours?.[wall[1]]?.colour;
      if (node.userData.bare) {
        node.material.dispose();
        node.material = node.userData.bare;
        node.userData.bare = null;
      }
      if (!colour) return;
      node.userData.bare = node.material;
      node.material = new THREE.MeshBasicMaterial({ color: colour, side: node.material.side });
    });
    this.draw();
  }

  /** Doors and windows: [{kind, source, ends: [right, left], sill_m, height_m}]; those of unknown height in outline. */
  showOpenings(openings) {
    this.holes = openings;
    this.#showOpenings();
    this.draw();
  }

  #showOpenings() {
    empty(this.layers.openings);
    for (const { source, ends, sill_m, height_m } of this.holes) {
      if (source === "configured") continue; // a pane in the model
      const [low, high] = [sill_m ?? 0, (sill_m ?? 0) + (height_m ?? UNKNOWN_HEIGHT_M)];
      const corners = [[0, low], [1, low], [1, high], [0, high]].map(([i, z]) => new THREE.Vector3(...toScene([...ends[i], z])));
      const colour = source === "new" ? 0xe8590c : 0x1c7ed6;
      const frame = new THREE.LineLoop(new THREE.BufferGeometry().setFromPoints(corners), new THREE.LineBasicMaterial({ color: colour, depthTest: false }));
      this.layers.openings.add(frame);
    }
    this.layers.room.traverse((node) => {
      if (/^(door|window|opening)-\d+$/.test(node.name)) node.visible = this.layers.openings.visible;
    });
  }

  #showObjects() {
    this.things = 0;
    this.layers.room.traverse((node) => {
      if (node.userData.kind !== "object") return;
      node.visible = this.layers.objects;
      this.things++;
    });
  }

  /** Lengths of the walls, written on them: [{start, end, length_m}] in the room's axes. */
  showWalls(walls, heightM) {
    this.walls = walls.slice(0, LABELS).map(({ start_m: a, end_m: b, length_m }) => ({
      at: new THREE.Vector3(...toScene([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, heightM])),
      metres: length_m,
    }));
    this.draw();
  }

  /** The inferred light: nine rows of RGB, pre-scaled irradiance in the room's axes. */
  showLight(rows, level) {
    const scale = level > 0 ? 0.7 / level : 1; // as bright as the picture's own exposure makes it look
    probeCoefficients(rows).forEach((c, i) => this.probe.sh.coefficients[i].set(c[0] * scale, c[1] * scale, c[2] * scale));
    this.layers.light.visible = this.lightWanted ?? true;
    this.draw();
  }

  /** Depth as points; `positions` in metres, y up. */
  showPoints(positions, heightM) {
    empty(this.layers.points);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
    const colours = new Float32Array(positions.length);
    const colour = new THREE.Color();
    for (let i = 0; i < positions.length; i += 3) {
      colour.setHSL(0.58 - 0.5 * Math.min(1, Math.max(0, positions[i + 1] / (heightM || 2.5))), 0.75, 0.55);
      colours.set([colour.r, colour.g, colour.b], i);
    }
    geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3));
    this.layers.points.add(new THREE.Points(geometry, new THREE.PointsMaterial({ size: 0.025, vertexColors: true })));
    this.draw();
  }

  /** Show or hide a layer: room, ceiling, points, light, openings, objects. */
  setLayer(name, shown) {
    if (name === "ceiling" || name === "objects") this.layers[name] = shown;
    else this.layers[name].visible = shown;
    if (name === "light") this.lightWanted = shown;
    if (name === "openings") this.#showOpenings();
    this.#showObjects();
    this.#showCeiling();
    this.draw();
  }

  /** dollhouse: from outside and above; inside: from where the camera is; top: straight down. */
  look(view, { at = "smoothly" } = {}) {
    this.view = view;
    this.moved = false;
    const inside = view === "inside";
    this.controls.rotateSpeed = inside ? -0.4 : 1; // inside one takes hold of the picture, outside of the model
    this.controls.enableZoom = this.controls.enablePan = !inside;
    this.#showCeiling();
    this.#resize();
    if (!this.room) return;
    const { centre } = this.room;
    const fov = inside ? 80 : 50;
    const [position, target] = [new THREE.Vector3(), centre.clone()];
    if (inside) {
      target.set(0, this.heightM ?? 1.5, -0.01);
      position.set(0, this.heightM ?? 1.5, 0);
    } else {
      const way = view === "top" ? new THREE.Vector3(0, 1, 0.001) : new THREE.Vector3(0.55, 0.8, 0.7);
      position.copy(way.normalize()).multiplyScalar(this.#distance(way, fov)).add(centre);
    }
    this.#go({ position, target, fov }, at === "once" || matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : TURN_MS);
  }

  /** How far from the room's middle, that way, all its corners are seen between the buttons. */
  #distance(way, fov) {
    const slope = Math.tan((fov * Math.PI) / 360);
    const [above, below] = this.bars();
    const high = slope * Math.max(0.5, 1 - (above + below) / this.host.clientHeight);
    const right = new THREE.Vector3(0, 1, 0).cross(way).normalize();
    const up = way.clone().cross(right);
    return this.room.corners.reduce((most, corner) => {
      const p = corner.clone().sub(this.room.centre);
      return Math.max(most, p.dot(way) + MARGIN * Math.max(Math.abs(p.dot(right)) / (slope * this.camera.aspect), Math.abs(p.dot(up)) / high));
    }, 0.5);
  }

  /** More or less of the host is covered: look from where all is seen, unless somebody has turned it. */
  refit() {
    if (!this.moved && this.view !== "inside") this.look(this.view ?? "dollhouse", { at: "once" });
  }

  /** Move the eye there in so many milliseconds. */
  #go(to, ms) {
    const from = { position: this.camera.position.clone(), target: this.controls.target.clone(), fov: this.camera.fov };
    const start = performance.now();
    const mine = (this.going = {});
    const step = (now) => {
      if (mine !== this.going) return;
      const t = ms ? Math.min(1, Math.max(0, (now - start) / ms)) : 1;
      const eased = t * t * (3 - 2 * t);
      this.camera.position.lerpVectors(from.position, to.position, eased);
      this.controls.target.lerpVectors(from.target, to.target, eased);
      this.camera.fov = from.fov + (to.fov - from.fov) * eased;
      this.camera.updateProjectionMatrix();
      this.controls.update();
      this.draw();
      if (t < 1) requestAnimationFrame(step);
    };
    step(start);
  }

  #zoomInside(by) {
    if (this.view !== "inside") return;
    this.camera.fov = Math.min(100, Math.max(30, this.camera.fov + by));
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  #key(event) {
    const turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const nearer = { "+": -1, "=": -1, "-": 1 }[event.key];
    this.moved = this.moved || Boolean(turn ?? nearer);
    if (turn) {
      const offset = this.camera.position.clone().sub(this.controls.target);
      const round = new THREE.Spherical().setFromVector3(offset);
      const way = this.view === "inside" ? -1 : 1;
      round.theta += way * turn[0] * KEY_RAD;
      round.phi += way * turn[1] * KEY_RAD;
      this.camera.position.copy(this.controls.target).add(new THREE.Vector3().setFromSpherical(round.makeSafe()));
      this.controls.update();
    } else if (nearer && this.view === "inside") this.#zoomInside(nearer * 5);
    else if (nearer) {
      this.camera.position.sub(this.controls.target).multiplyScalar(nearer < 0 ? 0.9 : 1.1).add(this.controls.target);
      this.controls.update();
    } else if (event.key === "Enter") this.#pick(0, 0);
    else return;
    event.preventDefault();
    this.draw();
  }

  /** Draw once, soon. Nothing is drawn while nothing changes. */
  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.renderer.render(this.scene, this.camera);
      this.#placeLabels();
    });
  }

  #makeProbe() {
    const ball = new THREE.Mesh(
      new THREE.SphereGeometry(PROBE_M, 48, 24),
      new THREE.MeshLambertMaterial({ color: 0xffffff, name: "probe" }),
    );
    this.layers.light.add(ball);
    this.layers.light.visible = false;
  }

  #showCeiling() {
    this.layers.room.traverse((node) => {
      if (node.name === "ceiling") node.visible = this.layers.ceiling && this.view !== "dollhouse" && this.view !== "top";
    });
  }

  #resize() {
    const { clientWidth: w, clientHeight: h } = this.host;
    if (!w || !h) return;
    this.renderer.setSize(w, h);
    const [above, below] = this.view === "inside" ? [0, 0] : this.bars();
    this.camera.setViewOffset(w, h, 0, (below - above) / 2, w, h); // the middle is between the buttons
    this.draw();
  }

  #placeLabels() {
    const rect = this.host.getBoundingClientRect();
    const doors = this.layers.openings.visible ? this.holes.map(holeLabel) : [];
    const spots = [...(this.walls ?? []), ...doors, ...(this.marks.userData.labels ?? [])];
    this.crosshair.hidden = !(this.measuring || this.picking) || document.activeElement !== this.renderer.domElement;
    this.labels.replaceChildren(
      this.crosshair,
      ...spots.flatMap(({ at, metres, text, className = "" }) => {
        const p = at.clone().project(this.camera);
        if (p.z > 1 || Math.abs(p.x) > 1 || Math.abs(p.y) > 1) return [];
        const label = Object.assign(document.createElement("span"), { textContent: text ?? length(metres, this.unit), className });
        label.style.transform = `translate(-50%,-50%) translate(${((p.x + 1) / 2) * rect.width}px,${((1 - p.y) / 2) * rect.height}px)`;
        return [label];
      }),
    );
  }

  #clicked(event) {
    const moved = this.down && Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]) > 4;
    if (moved) return;
    const rect = this.renderer.domElement.getBoundingClientRect();
    this.#pick(((event.clientX - rect.left) / rect.width) * 2 - 1, 1 - ((event.clientY - rect.top) / rect.height) * 2);
  }

  /** A click at a place of the view, -1..1 to the right and up. */
  #pick(x, y) {
    if (!this.measuring && !this.picking) return;
    const ray = new THREE.Raycaster();
    ray.setFromCamera(new THREE.Vector2(x, y), this.camera);
    const hits = ray.intersectObject(this.layers.room, true).filter(({ object }) => object.visible);
    const hit = hits.find(({ object }) => !this.picking || /^wall-/.test(object.name));
    if (!hit) return;
    if (this.picking) {
      this.onWall(hit.object.name, [hit.point.x, -hit.point.z, hit.point.y]);
      return;
    }
    if (this.picked.length === 2) this.picked = [];
    this.picked.push(hit.point.clone());
    this.#showPicked();
  }

  /** Forget what was measured. */
  clearMeasure() {
    this.picked = [];
    this.#showPicked();
  }

  #showPicked() {
    empty(this.marks);
    this.marks.userData.labels = [];
    const material = () => new THREE.MeshBasicMaterial({ color: 0xff5a36, depthTest: false });
    for (const point of this.picked) {
      const dot = new THREE.Mesh(new THREE.SphereGeometry(0.04, 16, 8), material());
      dot.position.copy(point);
      this.marks.add(dot);
    }
    if (this.picked.length === 2) {
      const [a, b] = this.picked;
      const line = new THREE.BufferGeometry().setFromPoints([a, b]);
      this.marks.add(new THREE.Line(line, new THREE.LineBasicMaterial({ color: 0xff5a36, depthTest: false })));
      this.marks.userData.labels = [{ at: a.clone().add(b).multiplyScalar(0.5), text: this.onMeasure(a, b) }];
    }
    this.draw();
  }
}

/** Where the corners of a model's floor and walls are. */
function cornersOf(scene) {
  const out = [];
  scene.updateMatrixWorld(true);
  scene.traverse((node) => {
    const at = node.isMesh && /^(floor|wall-)/.test(node.name) && node.geometry.attributes.position;
    for (let i = 0; at && i < at.count; i++) out.push(new THREE.Vector3().fromBufferAttribute(at, i).applyMatrix4(node.matrixWorld));
  });
  return out;
}

/** What an opening is and who says so, above its middle. */
function holeLabel({ kind, source, ends: [a, b], sill_m, height_m }) {
  const top = (sill_m ?? 0) + (height_m ?? UNKNOWN_HEIGHT_M);
  const text = `${kind}${source === "configured" ? "" : source === "new" ? ", new" : ", found"}${height_m === null ? ", height not known" : ""}`;
  return { at: new THREE.Vector3(...toScene([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, top])), text, className: `hole ${source}` };
}

function empty(group) {
  group.traverse((node) => {
    node.geometry?.dispose();
    node.userData.bare?.map?.dispose();
    node.userData.bare?.dispose();
    for (const material of [node.material].flat()) {
      material?.map?.dispose();
      material?.dispose?.();
    }
  });
  group.clear();
}
