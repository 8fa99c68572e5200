// What the page asks the server: answers come with the question's number, a room's model as bytes behind it.

export class Server {
  /** @param onState called with whether there is a connection */
  constructor(onState) {
    this.onState = onState;
    this.waiting = new Map();
    this.number = 0;
    this.#open();
  }

  /** The answer, or an Error with what is wrong. */
  async ask(question) {
    await this.opened;
    const id = ++this.number;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, ...question }));
    });
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws${location.search}`);
    this.socket.binaryType = "arraybuffer";
    this.opened = new Promise((resolve) => (this.socket.onopen = () => (this.onState(true), resolve())));
    this.socket.onmessage = ({ data }) => this.#answered(data);
    this.socket.onclose = () => {
      this.onState(false);
      for (const { reject } of this.waiting.values()) reject(new Error("The connection was lost; see whether edge review still runs."));
      this.waiting.clear();
      setTimeout(() => this.#open(), 1000);
    };
  }

  #answered(data) {
    const bytes = typeof data !== "string";
    const answer = bytes ? { id: new DataView(data).getUint32(0), model: new Uint8Array(data, 4) } : JSON.parse(data);
    const asked = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if (answer.error) asked?.reject(new Error(answer.error));
    else asked?.resolve(answer);
  }
}

/** An entry's file. */
export async function fetched(name, file) {
  const answer = await fetch(`entry/${encodeURIComponent(name)}/${file}${location.search}`);
  if (!answer.ok) throw new Error(`${name}: ${(await answer.text()).trim()}`);
  return answer;
}
