// The service's pushes, over a WebSocket that is opened again whenever it breaks.

import { config } from './api.js';
import { backoff, pause } from './dom.js';
import { settings } from './settings.js';
import { t } from './text.js';

const MOST_WAIT_MS = 10_000;
/** How often the service is asked for a sign of life, and how long it has for it. */
const PING_MS = 15_000;
const PONG_MS = 8000;

/**
 * Tells `message` (its `detail` is the push) and `state`. `state` is `connecting`, `open` or `waiting`; `problem` is why it
 * is not open, `null` while it is.
 */
export class Feed extends EventTarget {
  state = 'connecting';
  problem = null;
  #last = 0;
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
    if (anew) this.#socket?.close();
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
    const seen = new Set();
    let opened = 0;
    let silence = 0;
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
          if (seen.has(message.seq)) return;
          seen.add(message.seq);
          this.#last = message.seq;
        }
        this.dispatchEvent(new CustomEvent('message', { detail: message }));
      };
      socket.onclose = () => {
        clearInterval(pings);
        clearTimeout(silence);
        resolve(opened ? performance.now() - opened : 0);
      };
    });
  }

  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(new Event('state'));
  }
}
