// The page's words in the language of the browser. Each language is one file that exports `words`.

const LANGUAGES = ['en', 'id'];

// Some browsers still call Indonesian by its old code.
const code = (tag) => tag.toLowerCase().split('-')[0].replace(/^in$/, 'id');

const wanted = (navigator.languages ?? []).find((tag) => LANGUAGES.includes(code(tag))) ?? 'en';

/** The language of the page: the first of the browser's that there is a file for, else English. */
export const language = code(wanted);

const { words } = await import(`./${language}.js`);

/** Whether there are words for this key. */
export const has = (key) => Object.hasOwn(words, key);

/** The words for `key`, with `{name}` replaced by `values.name`. */
export function t(key, values = {}) {
  if (!has(key)) throw new Error(`no words for ${key} in ${language}`);
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The time of day of a `Date`, as the page's language writes it in the browser's country. */
export const timeOfDay = (date) => clock.format(date);
const clock = new Intl.DateTimeFormat(wanted, { hour: '2-digit', minute: '2-digit' });

/** Puts the words into the elements that name a key by `data-t`, `data-t-label` or `data-t-placeholder`. */
export function fill(root) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-t-label]')) element.setAttribute('aria-label', t(element.dataset.tLabel));
  for (const element of root.querySelectorAll('[data-t-placeholder]')) element.placeholder = t(element.dataset.tPlaceholder);
}

document.documentElement.lang = language;
fill(document);
