// The page's one connection: frames of (topic, payload) come in, times to look back at go out.

const text = new TextDecoder();
/** In a page that was exported: its messages, instead of a connection. */
export const saved = document.getElementById("saved");

export class Connection {
  /**
   * @param onMessage called with (topic, Uint8Array). @param onState with whether it is connected
   * @param onAnswer with what the server answers: {span} or {draft}
   */
  constructor({ onMessage, onState, onAnswer }) {
    Object.assign(this, { onMessage, onState, onAnswer });
    this.waitMs = 500;
    if (saved) queueMicrotask(() => this.#replay(JSON.parse(saved.textContent)));
    else this.#open();
  }

  #replay(messages) {
    this.onState(true);
    for (const [topic, base64] of messages) this.onMessage(topic, Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  }

  /** Show what held at a time in seconds since the Unix epoch; null: now. */
  show(at) {
    this.#send({ at });
  }

  /** Ask how far back one may look. */
  askSpan() {
    this.#send({});
  }

  /** Have the server do something with a home that is being put together. */
  home(draft) {
    this.#send({ home: draft });
  }

  /** Ask a device to keep what a camera shows; `then` is called with {flagged, error}. */
  flag(camera, then) {
    this.flagged = then;
    this.#send({ flag: camera });
  }

  /** Ask a device about a thing that a camera shows; `then` is called with {object, error}. */
  thing(camera, request, then) {
    this.answered = then;
    this.#send({ thing: { camera, ...request } });
  }

  /** Have the server work out how a camera hangs from a sheet's corners; `then` is called with {lines, told, doubts} or {error}. */
  sheet(request, then) {
    this.hung = then;
    this.#send({ sheet: request });
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws${location.search}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.waitMs = 500;
      this.onState(true);
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const said = JSON.parse(data);
        if ("flagged" in said) this.flagged?.(said);
        else if ("object" in said) this.answered?.(said);
        else if ("sheet" in said) this.hung?.(said.sheet);
        else this.onAnswer(said);
        return;
      }
      const length = new DataView(data).getUint16(0);
      this.onMessage(text.decode(new Uint8Array(data, 2, length)), new Uint8Array(data, 2 + length));
    };
    this.socket.onclose = () => {
      this.onState(false);
      setTimeout(() => this.#open(), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 2, 10000);
    };
  }
}
