/**
 * Server-sent events out of bytes, for a stream that is read with `fetch`.
 *
 * A network packet ends anywhere: inside a UTF-8 sequence, between `\r` and `\n`, in the middle of a field's name. The
 * reader remembers the unfinished part and gives back whole events only (HTML standard, "Interpreting an event stream").
 *
 * Always true: at most `EVENT_CHARS_MAX` characters of one event are kept. A longer one is passed over and reported as
 * `{ oversize: true }`, so that a stream without line ends cannot fill the page's memory.
 */
export const EVENT_CHARS_MAX = 1 << 20;

export class EventReader {
  // Broken bytes become U+FFFD and a byte order mark is dropped, as the standard asks.
  #decoder = new TextDecoder();
  #afterCr = false;
  #line = "";
  #data = [];
  #chars = 0;
  #name = "";
  #oversize = false;

  /** @param {Uint8Array} bytes @returns {{event: string, data: string, oversize?: true}[]} */
  push(bytes) {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  /** What the end of the stream completes. Providers leave out the last blank line often enough that it is forgiven. */
  end() {
    const events = this.#read(`${this.#decoder.decode()}\n`);
    this.#dispatch(events);
    return events;
  }

  #read(text) {
    const events = [];
    let from = this.#afterCr && text.startsWith("\n") ? 1 : 0;
    if (text !== "") this.#afterCr = text.endsWith("\r");
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = from;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.#grow(text.slice(from, end.index));
      from = ends.lastIndex;
      const line = this.#line;
      this.#line = "";
      if (line === "") this.#dispatch(events);
      else this.#field(line);
    }
    this.#grow(text.slice(from));
    return events;
  }

  #grow(part) {
    this.#chars += part.length;
    if (this.#chars <= EVENT_CHARS_MAX) {
      this.#line += part;
      return;
    }
    this.#oversize = true;
    this.#data = [];
    // A line that is not empty must not be taken for the blank line that ends the event.
    this.#line = this.#line === "" && part === "" ? "" : ":";
  }

  #field(line) {
    if (line.startsWith(":")) {
      // A stream may send comments for ever without an event; they do not count against the event to come.
      if (!this.#oversize) this.#chars -= line.length;
      return;
    }
    if (this.#oversize) return;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#name = value;
  }

  #dispatch(events) {
    if (this.#oversize) events.push({ event: this.#name || "message", data: "", oversize: true });
    else if (this.#data.length > 0) events.push({ event: this.#name || "message", data: this.#data.join("\n") });
    this.#data = [];
    this.#chars = 0;
    this.#name = "";
    this.#oversize = false;
  }
}
