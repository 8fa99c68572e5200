// Pieces of the page that several parts build from.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; what is null or false is left out. */
export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function button(label, pressed, act, kind = "aria-pressed") {
  const node = element("button", { textContent: label, type: "button", onclick: act });
  if (pressed !== null) node.setAttribute(kind, String(pressed));
  if (kind === "aria-selected") node.setAttribute("role", "tab");
  return node;
}

export const card = (title, ...content) => element("section", { className: "card" }, element("h2", { textContent: title }), ...content);

/** A list of names and values; those without a value are left out. */
export function rows(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs.filter(([, value]) => value !== undefined && value !== null)) {
    list.append(element("dt", { textContent: name }), element("dd", {}, value));
  }
  return list;
}

export const paragraph = (said, className = "note") => element("p", { textContent: said, className });
export const percent = (value) => `${Math.round(100 * value)} %`;

/** A choice: [[value, label], ...]. */
export function choice(label, options, chosen, act) {
  const select = element("select", { onchange: () => act(select.value) });
  select.setAttribute("aria-label", label);
  for (const [value, text] of options) select.append(element("option", { value, textContent: text, selected: value === chosen }));
  return select;
}

/** Lines to paste, with a button that copies them. */
export function lines(text, hint) {
  const pre = element("pre", { textContent: text, tabIndex: 0 });
  const copy = button("Copy", null, async () => {
    getSelection().selectAllChildren(pre); // for pages without TLS, where only the keyboard copies
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Press Ctrl-C";
    }
  });
  return element("div", { className: "lines" }, paragraph(hint), pre, copy);
}

/** Put nodes into a place; what had the keyboard's focus there has it again, known by its key or by what it says. */
export function fill(parent, ...nodes) {
  keepingFocus(parent, () => parent.replaceChildren(...nodes.filter(Boolean)));
}

/**
 * The same for what is drawn at every message: what would look the same stays, or a press that began on it would be lost.
 * What acts on something else must differ in an attribute.
 */
export function renew(parent, ...nodes) {
  const wanted = nodes.filter(Boolean);
  keepingFocus(parent, () => {
    while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
    wanted.forEach((node, i) => (parent.childNodes[i] ? settle(parent.childNodes[i], node) : parent.append(node)));
  });
}

function settle(old, node) {
  if (old.isEqualNode(node)) return;
  const same = old.childNodes.length && old.childNodes.length === node.childNodes.length && old.cloneNode().isEqualNode(node.cloneNode());
  if (!same) old.replaceWith(node);
  else [...node.childNodes].forEach((child, i) => settle(old.childNodes[i], child));
}

function keepingFocus(parent, act) {
  const named = (node) => `${node.tagName} ${node.dataset.key ?? node.getAttribute("aria-label") ?? node.textContent}`;
  const focused = document.activeElement;
  const name = parent.contains(focused) && parent !== focused ? named(focused) : null;
  act();
  if (name && document.activeElement !== focused) [...parent.querySelectorAll("*")].find((node) => named(node) === name)?.focus();
}

/** Offer bytes as a file. */
export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const NS = "http://www.w3.org/2000/svg";

/** A shape of an SVG. */
export function shape(name, attributes, ...children) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
