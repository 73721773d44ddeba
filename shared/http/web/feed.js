// The service's pushes, over a WebSocket that is opened again whenever it breaks.

import { config } from './api.js';
import { backoff, pause } from './dom.js';
import { settings } from './settings.js';
import { t } from './text.js';

const MOST_WAIT_MS = 10_000;
/** How often the service is asked for a sign of life, and how long it has for it. */
const PING_MS = 15_000;
const PONG_MS = 8000;
/** What was told lately is told once; of older messages none comes again. */
const SEEN = 20_000;
/** How long a missing message may still be under way: functions post side by side. */
const LATE_MS = 1500;

/**
 * Tells `message` (its `detail` is the push) and `state`. `state` is `connecting`, `open` or `waiting`; `problem` is why it
 * is not open, `null` while it is.
 */
export class Feed extends EventTarget {
  state = 'connecting';
  problem = null;
  /** The largest `seq` that was told. */
  #last = 0;
  /** What was told, by its `seq` and time: a service that lost its data counts from the beginning. */
  #seen = new Set();
  #waiting = new AbortController();
  #socket = null;

  /** Connects, and stays connected for as long as the page is open. */
  async run() {
    let failures = 0;
    for (;;) {
      this.#become('connecting', this.problem);
      let retryAfter = 0;
      try {
        // Asked anew for every try: a WebSocket does not say why it was refused, this does.
        const { websocket_url } = await config();
        const lived = await this.#listen(websocket_url);
        failures = lived > 5000 ? 0 : failures;
        this.#become('waiting', { kind: 'away', message: t('live.lost') });
      } catch (problem) {
        if (!problem.kind) throw problem;
        retryAfter = problem.retryAfter;
        this.#become('waiting', problem);
      }
      await pause(Math.max(retryAfter, backoff(failures, MOST_WAIT_MS)), this.#waiting.signal);
      failures += 1;
    }
  }

  /** Tries at once what it waits to try; with `anew`, also gives up the connection it has. */
  wake({ anew = false } = {}) {
    if (anew) {
      // It may be another service's.
      this.#last = 0;
      this.#socket?.close();
    }
    this.#waiting.abort();
    this.#waiting = new AbortController();
  }

  /** Listens until the connection ends; returns how long it was open, in milliseconds. */
  #listen(address) {
    const url = new URL(address);
    // A browser opens no other from a secure page, whatever a proxy made the service believe.
    if (location.protocol === 'https:') url.protocol = 'wss:';
    if (settings.key) url.searchParams.set('key', settings.key);
    const socket = (this.#socket = new WebSocket(url));
    let opened = 0;
    let silence = 0;
    let late = 0;
    const send = (action) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(action));
    const pings = setInterval(() => {
      send({ action: 'ping' });
      silence ||= setTimeout(() => socket.close(), PONG_MS);
    }, PING_MS);
    return new Promise((resolve) => {
      socket.onopen = () => {
        opened = performance.now();
        // What was pushed between the opening and this may come twice, and is told once.
        send({ action: 'resume', since: this.#last });
        this.#become('open', null);
      };
      socket.onmessage = ({ data }) => {
        clearTimeout(silence);
        silence = 0;
        const message = JSON.parse(data);
        if (message.seq !== undefined) {
          if (!this.#isNews(message)) return;
          const before = this.#last;
          if (before > 0 && message.seq > before + 1) late ||= setTimeout(() => ((late = 0), send({ action: 'resume', since: before })), LATE_MS);
          this.#last = Math.max(before, message.seq);
        }
        this.dispatchEvent(new CustomEvent('message', { detail: message }));
      };
      socket.onclose = () => {
        clearInterval(pings);
        clearTimeout(silence);
        clearTimeout(late);
        resolve(opened ? performance.now() - opened : 0);
      };
    });
  }

  #isNews({ seq, ts }) {
    const name = `${seq} ${ts}`;
    if (this.#seen.has(name)) return false;
    this.#seen.add(name);
    if (this.#seen.size > SEEN) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(new Event('state'));
  }
}
