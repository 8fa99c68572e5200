// A camera's height from one length that is known: a wall's, or that of the line measured last.

import { element } from "./elements.js";
import { length } from "./geometry.js";

const FOOT_M = 0.3048;

/** The height at which what shows as `shownM` is as long as it truly is. */
export const trueHeight = (heightM, trueM, shownM) => (heightM * trueM) / shownM;

/** A button that opens the tool. `now` gives {room: metric of a layout message, measured: m or null, name, unit}. */
export function calibration(now) {
  const choice = element("select", { ariaLabel: "Which length" });
  const truth = element("input", { type: "number", min: "0.1", step: "any", inputMode: "decimal", ariaLabel: "Its true length" });
  const result = element("output", {});
  const form = element("form", { className: "card calibrate", hidden: true }, choice, truth, result);
  const button = element("button", { type: "button", textContent: "True length", title: "Correct the camera's height by a length you know" });
  button.setAttribute("aria-pressed", "false");

  function offer() {
    const { room, measured, unit } = now();
    const options = (room?.walls ?? []).map(({ length_m }, i) => [`wall ${i}`, length_m]);
    if (measured) options.unshift(["measured line", measured]);
    const kept = choice.selectedOptions[0]?.label.split(",")[0];
    choice.replaceChildren(
      ...options.map(([label, m]) => element("option", { value: String(m), label: `${label}, ${length(m, unit)}`, selected: label === kept })),
    );
    truth.placeholder = unit === "ft" ? "is truly, feet" : "is truly, m";
    show();
  }

  function show() {
    const { room, name, unit } = now();
    const trueM = Number(truth.value) * (unit === "ft" ? FOOT_M : 1);
    const shownM = Number(choice.value);
    result.textContent = "";
    if (!room) result.textContent = "No room in metres yet: configure camera_height_m, about.";
    else if (trueM > 0 && shownM > 0) {
      const height = trueHeight(room.camera_height_m, trueM, shownM);
      const doubtful = Math.abs(height / room.camera_height_m - 1) > 0.3 ? "  # more than 30 % off: is it that length?" : "";
      result.textContent = `camera_height_m: ${height.toFixed(3)}${doubtful}`;
      result.title = `Write this line below ${name} in config.yaml`;
    }
  }

  button.onclick = () => {
    form.hidden = !form.hidden;
    button.setAttribute("aria-pressed", String(!form.hidden));
    if (!form.hidden) offer();
  };
  choice.onfocus = offer;
  choice.onchange = truth.oninput = show;
  form.onsubmit = (event) => event.preventDefault();
  return element("span", { className: "tool" }, button, form);
}
