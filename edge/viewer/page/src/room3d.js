// The room in three dimensions: its model, the inferred light, the depth as points, labels, and measuring.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { length, probeCoefficients, toScene } from "./geometry.js";

const PROBE_M = 0.22;
const LABELS = 12;

export class Room3D {
  /** @param host the element to draw in. @param onMeasure gives the text for two clicked points */
  constructor(host, { onMeasure }) {
    this.host = host;
    this.onMeasure = onMeasure;
    this.unit = "m";
    this.measuring = false;
    this.renderer = new THREE.WebGLRenderer({
      antialias: true,
      alpha: true,
      preserveDrawingBuffer: new URLSearchParams(location.search).has("test"),
    });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    host.append(this.renderer.domElement);
    this.renderer.domElement.tabIndex = 0;
    this.renderer.domElement.setAttribute("aria-label", "The room in three dimensions; arrow keys turn it");
    this.labels = Object.assign(document.createElement("div"), { className: "labels" });
    host.append(this.labels);

    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(50, 1, 0.05, 200);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.enableDamping = false;
    this.controls.addEventListener("change", () => this.draw());
    this.controls.listenToKeyEvents(this.renderer.domElement);
    this.probe = new THREE.LightProbe();
    this.scene.add(this.probe);
    this.layers = { room: new THREE.Group(), ceiling: true, points: new THREE.Group(), light: new THREE.Group() };
    this.marks = new THREE.Group();
    this.scene.add(this.layers.room, this.layers.points, this.layers.light, this.marks);
    this.#makeProbe();

    this.loader = new GLTFLoader();
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
    for (const group of [this.layers.room, this.layers.points, this.marks]) empty(group);
    this.walls = [];
    this.picked = [];
    this.layers.light.visible = false;
    this.room = null;
    this.draw();
  }

  /** The room's model; resolves when it is shown. */
  async showModel(bytes) {
    const mine = ++this.newest;
    const { scene } = await this.loader.parseAsync(bytes.slice().buffer, "");
    if (mine !== this.newest) {
      empty(scene);
      return;
    }
    empty(this.layers.room);
    scene.traverse((node) => {
      if (node.isLight) node.intensity = 0; // the probe is that light, and more of it
      if (!node.isMesh) return;
      const old = node.material;
      if (!old.map && !old.transparent) {
        node.material = new THREE.MeshLambertMaterial({ color: old.color, side: old.side, name: old.name });
        old.dispose();
      }
    });
    this.layers.room.add(scene);
    const box = new THREE.Box3().setFromObject(scene);
    const first = !this.room;
    this.room = { box, centre: box.getCenter(new THREE.Vector3()), size: box.getSize(new THREE.Vector3()) };
    this.layers.light.position.set(0, Math.max(0.3, box.min.y + this.room.size.y * 0.45), 0);
    this.#showCeiling();
    if (first) this.look(this.view ?? "dollhouse");
    this.draw();
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

  /** Show or hide a layer: room, ceiling, points, light. */
  setLayer(name, shown) {
    if (name === "ceiling") this.layers.ceiling = shown;
    else this.layers[name].visible = shown;
    if (name === "light") this.lightWanted = shown;
    this.#showCeiling();
    this.draw();
  }

  /** dollhouse: from outside and above; inside: from where the camera is; top: straight down. */
  look(view) {
    this.view = view;
    this.camera.fov = view === "inside" ? 80 : 50;
    this.camera.updateProjectionMatrix();
    if (!this.room) return;
    const { centre, size } = this.room;
    const far = Math.max(size.x, size.z, size.y) / Math.min(1, this.camera.aspect);
    if (view === "inside") {
      this.camera.position.set(0, this.heightM ?? 1.5, 0);
      this.controls.target.set(0, this.heightM ?? 1.5, -0.01);
    } else if (view === "top") {
      this.camera.position.set(centre.x, far * 1.5, centre.z + 0.001);
      this.controls.target.copy(centre);
    } else {
      this.camera.position.set(centre.x + far * 0.75, far * 1.05, centre.z + far * 0.95);
      this.controls.target.copy(centre);
    }
    this.controls.update();
    this.#showCeiling();
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
    this.camera.aspect = w / h;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  #placeLabels() {
    const rect = this.host.getBoundingClientRect();
    const spots = [...(this.walls ?? []), ...this.marks.userData.labels ?? []];
    this.labels.replaceChildren(
      ...spots.flatMap(({ at, metres, text }) => {
        const p = at.clone().project(this.camera);
        if (p.z > 1 || Math.abs(p.x) > 1 || Math.abs(p.y) > 1) return [];
        const label = Object.assign(document.createElement("span"), { textContent: text ?? length(metres, this.unit) });
        label.style.transform = `translate(-50%,-50%) translate(${((p.x + 1) / 2) * rect.width}px,${((1 - p.y) / 2) * rect.height}px)`;
        return [label];
      }),
    );
  }

  #clicked(event) {
    const moved = this.down && Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]) > 4;
    if (!this.measuring || moved) return;
    const rect = this.renderer.domElement.getBoundingClientRect();
    const at = new THREE.Vector2(
      ((event.clientX - rect.left) / rect.width) * 2 - 1,
      1 - ((event.clientY - rect.top) / rect.height) * 2,
    );
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.camera);
    const hit = ray.intersectObject(this.layers.room, true).find(({ object }) => object.visible);
    if (!hit) return;
    if (this.picked.length === 2) this.picked = [];
    this.picked.push(hit.point.clone());
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

function empty(group) {
  group.traverse((node) => {
    node.geometry?.dispose();
    for (const material of [node.material].flat()) {
      material?.map?.dispose();
      material?.dispose?.();
    }
  });
  group.clear();
}
