// A camera's height from one length that is known: a wall's, or that of the line measured last.

import { card, element, paragraph } from "./elements.js";
import { length } from "./geometry.js";

const FOOT_M = 0.3048;

/** The height at which what shows as `shownM` is as long as it truly is. */
export const trueHeight = (heightM, trueM, shownM) => (heightM * trueM) / shownM;

/**
 * The tool in a place of its own: {open(on), isOpen}.
 * @param form where it is. @param now gives {room: metric of a layout message, measured: m or null, name, unit}
 */
export function calibration(form, now) {
  const choice = element("select", { ariaLabel: "Which length" });
  const unitName = element("span");
  const truth = element("input", { type: "number", min: "0.1", step: "any", inputMode: "decimal", ariaLabel: "Its true length" });
  const result = element("output", {});
  const is = element("label", {}, "is truly ", truth, unitName);
  form.append(...card("True length", paragraph("A wall, or the line measured last, as long as it truly is, gives the camera's height."), choice, is, result).children);

  function offer() {
    const { room, measured, unit } = now();
    const options = (room?.walls ?? []).map(({ length_m }, i) => [`wall ${i + 1}`, length_m]);
    if (measured) options.unshift(["measured line", measured]);
    const kept = choice.selectedOptions[0]?.label.split(",")[0];
    choice.replaceChildren(
      ...options.map(([label, m]) => element("option", { value: String(m), label: `${label}, ${length(m, unit)}`, selected: label === kept })),
    );
    unitName.textContent = unit === "ft" ? " feet" : " m";
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

  choice.onfocus = offer;
  choice.onchange = truth.oninput = show;
  form.onsubmit = (event) => event.preventDefault();
  return {
    get isOpen() {
      return !form.hidden;
    },
    open(on) {
      form.hidden = !on;
      if (on) offer();
    },
  };
}
