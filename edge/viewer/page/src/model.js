// The room's model: binary glTF as this project writes it (one buffer, surfaces in one colour or with one JPEG, things with colours at corners), as three.js has it.

import * as THREE from "three";

const JSON_CHUNK = 0x4e4f534a;
const WIDTH = { SCALAR: 1, VEC2: 2, VEC3: 3 };
const ARRAYS = { 5126: Float32Array, 5123: Uint16Array, 5125: Uint32Array };

/**
 * @param bytes of a GLB
 * @returns {Promise<THREE.Group>} its nodes by their names; surfaces without a picture take the light of the scene
 */
export async function modelOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(12, true);
  if (view.getUint32(0, true) !== 0x46546c67 || view.getUint32(16, true) !== JSON_CHUNK) throw new Error("no GLB");
  const tree = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + size)));
  const binary = bytes.subarray(28 + size);
  const part = (index) => {
    const { byteOffset = 0, byteLength } = tree.bufferViews[index];
    return binary.slice(byteOffset, byteOffset + byteLength);
  };
  const pictures = await Promise.all((tree.images ?? []).map(({ bufferView, mimeType }) => pictureOf(new Blob([part(bufferView)], { type: mimeType }))));
  const materials = tree.materials.map((material) => materialOf(material, (index) => pictures[tree.textures[index].source]));
  const attribute = (index) => {
    const { bufferView, componentType, count, type, byteOffset = 0 } = tree.accessors[index];
    const values = new ARRAYS[componentType](part(bufferView).buffer, byteOffset, count * WIDTH[type]);
    return new THREE.BufferAttribute(values, WIDTH[type]);
  };
  const meshOf = ({ primitives: [{ attributes, indices, material }] }) => {
    const geometry = new THREE.BufferGeometry();
    for (const [name, ours] of [["POSITION", "position"], ["NORMAL", "normal"], ["TEXCOORD_0", "uv"], ["COLOR_0", "color"]]) {
      if (name in attributes) geometry.setAttribute(ours, attribute(attributes[name]));
    }
    geometry.setIndex(attribute(indices));
    return new THREE.Mesh(geometry, materials[material]);
  };
  const nodeOf = (index) => {
    const { name, mesh, children = [], translation, rotation, extras } = tree.nodes[index];
    const node = mesh === undefined ? new THREE.Group() : meshOf(tree.meshes[mesh]);
    Object.assign(node, { name, userData: { ...extras } });
    if (translation) node.position.fromArray(translation);
    if (rotation) node.quaternion.fromArray(rotation);
    for (const child of children) node.add(nodeOf(child));
    return node;
  };
  const room = new THREE.Group();
  for (const index of tree.scenes[tree.scene].nodes) room.add(nodeOf(index));
  return room;
}

async function pictureOf(blob) {
  const texture = new THREE.Texture(await createImageBitmap(blob, { colorSpaceConversion: "none" }));
  Object.assign(texture, { flipY: false, colorSpace: THREE.SRGBColorSpace, minFilter: THREE.LinearFilter, generateMipmaps: false, needsUpdate: true });
  return texture;
}

function materialOf({ name, pbrMetallicRoughness: look, alphaMode, doubleSided }, picture) {
  const side = doubleSided ? THREE.DoubleSide : THREE.FrontSide;
  if (look.baseColorTexture) return new THREE.MeshBasicMaterial({ name, side, map: picture(look.baseColorTexture.index) });
  const [r, g, b, opacity] = look.baseColorFactor;
  const colour = new THREE.Color().setRGB(r, g, b, THREE.LinearSRGBColorSpace);
  if (alphaMode === "BLEND") return new THREE.MeshBasicMaterial({ name, side, color: colour, transparent: true, opacity, depthWrite: false });
  return new THREE.MeshLambertMaterial({ name, side, color: colour, vertexColors: name === "object" });
}
