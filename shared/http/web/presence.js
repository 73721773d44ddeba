// Who stands before the kiosk, and what to tell them. No element is touched here.

/** How long a welcome stays, whatever the next frames say. */
const WELCOME_MS = 4000;
/** How long a card stays after its person was seen last. */
const LINGER_MS = 2500;
/** Who was away for less is still the same visit, and is not welcomed twice. */
const VISIT_GAP_MS = 10_000;
/** How many frames in a row an unknown face must be in: one blurred frame of a known face is not worth a word. */
const UNKNOWN_FRAMES = 2;
/** How long the time of an attendance is remembered. */
const MEMORY_MS = 12 * 3600 * 1000;
/** The most cards at once. */
const CARDS = 3;

/** What a report means to the person it is about. */
function kindOf({ status, message }) {
  if (status === 'sent') return 'taken';
  if (status === 'failed') return 'queued';
  return message === 'webhook_disabled' ? 'recognized' : 'already';
}

export class Presence {
  #people = new Map();
  #unknownFrames = 0;
  #unknownSeen = -Infinity;

  /**
   * Takes the answer to a frame. `now` is a `Date`'s milliseconds. Returns what is new, to be announced:
   * `[{kind, label, at}]`, `at` in the same milliseconds or `null`.
   */
  observe({ results, dispatch }, now) {
    const news = [];
    const reports = new Map(dispatch.map(({ label, report }) => [label, report]));
    const labels = new Set(results.map(({ label }) => label));
    for (const label of labels) {
      if (label === 'Unknown') continue;
      const person = this.#people.get(label) ?? { label, kind: 'seen', at: null, greeted: -Infinity, seen: -Infinity };
      this.#people.set(label, person);
      const arrived = now - person.seen > VISIT_GAP_MS;
      person.seen = now;
      const report = reports.get(label);
      const kind = report ? kindOf(report) : 'seen';
      if (kind === 'already' ? arrived : kind !== 'seen' && (arrived || person.at === null)) {
        person.kind = kind;
        if (kind !== 'already') Object.assign(person, { at: now, greeted: now });
        news.push({ kind, label, at: person.at });
      } else if (arrived) {
        person.kind = 'seen';
      }
    }
    if (labels.has('Unknown')) {
      this.#unknownFrames += 1;
      this.#unknownSeen = now;
      if (this.#unknownFrames === UNKNOWN_FRAMES) news.push({ kind: 'unknown', label: '', at: null });
    } else {
      this.#unknownFrames = 0;
    }
    for (const [label, person] of this.#people) if (now - person.seen > MEMORY_MS) this.#people.delete(label);
    return news;
  }

  /** The cards to show at `now`, the latest welcome first: `[{kind, label, at}]`. */
  cards(now) {
    const cards = [...this.#people.values()]
      .filter((person) => now - person.seen < LINGER_MS || now - person.greeted < WELCOME_MS)
      .sort((a, b) => b.greeted - a.greeted || b.seen - a.seen)
      // What was only noted or recognized is never called taken.
      .map(({ kind, label, at, greeted }) => ({ kind: kind === 'taken' && now - greeted >= WELCOME_MS ? 'already' : kind, label, at }));
    const unknown = this.#unknownFrames >= UNKNOWN_FRAMES && now - this.#unknownSeen < LINGER_MS;
    if (unknown) cards.push({ kind: 'unknown', label: '', at: null });
    return cards.slice(0, CARDS);
  }
}
