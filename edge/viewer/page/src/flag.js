// Asking a device to keep what a camera shows for review, where its configuration lets one.

const said = new Map(); // camera -> what came of it

/** A button, and what came of pressing it; null where the device keeps nothing on request. */
export function flagButton({ id, device }, ask) {
  if (!device.info?.review?.by_request) return null;
  const box = Object.assign(document.createElement("div"), { className: "downloads" });
  const button = Object.assign(document.createElement("button"), { textContent: "Keep for review", disabled: said.get(id) === "…" });
  button.title = "The picture and what was inferred are kept on the device, to be corrected with edge review";
  button.onclick = () => {
    said.set(id, "…");
    button.disabled = true;
    ask(id, ({ flagged, error }) => said.set(id, error ?? `kept as ${flagged}`));
  };
  box.append(button);
  if (said.has(id)) box.append(Object.assign(document.createElement("p"), { className: "note", textContent: said.get(id) }));
  return box;
}
