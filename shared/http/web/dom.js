// Making and finding elements.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** A new element: `props` are its properties, or its attributes where the name has a dash or is `role`. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Shows `message` in the notice at the edge of the page, with a button where `action` is `[words, callback]`; hides it for `null`. */
export function notice(message, action) {
  const element = $('notice');
  // The same words again would be announced again.
  if (element.dataset.message === (message ?? '')) return;
  element.dataset.message = message ?? '';
  element.hidden = !message;
  element.replaceChildren();
  if (!message) return;
  element.append(h('span', { textContent: message }));
  if (action) element.append(h('button', { type: 'button', className: 'plain', textContent: action[0], onclick: action[1] }));
}

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}

/** The wait before try number `failures`, in milliseconds: doubling up to `most`, and never the same for every page. */
export const backoff = (failures, most) => Math.min(most, 500 * 2 ** failures) * (0.8 + 0.4 * Math.random());
