// What the pushes say, as rows. No element is touched here.

/** Rows kept; the chart looks back three hours, which are fewer at any school's door. */
const KEPT = 2000;
/** A student who is seen again within this time by the same device is still the same row. */
const SAME_MS = 5 * 60 * 1000;

/** What became of an event, in one word. */
function deliveryOf({ status, message = '' }) {
  if (status === 'sent') return 'sent';
  if (status === 'failed') return 'queued';
  return message === 'webhook_disabled' ? 'off' : 'repeated';
}

const contextOf = ({ device_id, class_id, session_id }) => ({ device_id, class_id, session_id });

export class Wall {
  #rows = [];
  #byEvent = new Map();

  /** Takes a push. */
  add(message) {
    const at = new Date(message.ts * 1000);
    if (message.type === 'recognized') {
      const context = contextOf(message);
      const delivery = deliveryOf(message.dispatch);
      const before = this.#rows.find((row) => row.kind === 'recognized' && row.student === message.student_id && row.context.device_id === context.device_id);
      if (before && at - before.last < SAME_MS && (delivery === 'repeated' || delivery === 'off')) {
        Object.assign(before, { last: at, times: before.times + 1 });
        return;
      }
      const row = { kind: 'recognized', student: message.student_id, at, last: at, context, distance: message.distance, delivery, times: 1 };
      if (message.event_id) this.#byEvent.set(message.event_id, row);
      this.#keep(row);
    } else if (message.type === 'student.enrolled') {
      this.#keep({ kind: 'enrolled', student: message.student_id, at, last: at, context: {}, distance: null, delivery: 'enrolled', times: message.saved });
    } else if (message.type === 'delivery') {
      const row = this.#byEvent.get(message.event_id);
      if (row) row.delivery = message.status;
    }
  }

  #keep(row) {
    this.#rows.unshift(row);
    if (this.#rows.length > KEPT) {
      this.#rows.length = KEPT;
      const kept = new Set(this.#rows);
      for (const [id, row] of this.#byEvent) if (!kept.has(row)) this.#byEvent.delete(id);
    }
  }

  /** The rows of this class and device, the latest first; an empty choice takes all. */
  rows({ class: wanted, device }) {
    const fits = (value, choice) => !choice || value === choice;
    return this.#rows.filter(({ context }) => fits(context.class_id, wanted) && fits(context.device_id, device));
  }

  /** The values of a field of the context that were seen. */
  values(field) {
    return new Set(this.#rows.map(({ context }) => context[field]).filter(Boolean));
  }
}
