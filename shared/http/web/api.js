// Calls to the service.

import { settings } from './settings.js';
import { has, t } from './text.js';

const PATIENCE_MS = 20_000;

/**
 * A call that did not succeed. `kind` is `away` (no answer, or none of this service), `fault` (the service failed at it),
 * `key` (the access key is missing or wrong), `busy` (ask again later) or `refused` (what was sent cannot be used; `code`
 * says why).
 */
export class Refusal extends Error {
  constructor(kind, message, { code = '', retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { kind, code, retryAfter });
  }
}

/** The service's address: where this page comes from, unless the settings name another. */
export function base() {
  const url = new URL(settings.api || '.', location.href);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** The answer to `GET path`, or to `POST path` where there is a form. Throws a `Refusal`. */
export async function call(path, { form, query = {} } = {}) {
  let url;
  try {
    url = new URL(path, base());
  } catch {
    throw new Refusal('away', t('server.address', { address: settings.api }));
  }
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  // A header can carry nothing else, and no key has anything else.
  if (!/^[\x21-\x7e]*$/.test(settings.key)) throw new Refusal('key', t('server.key'));
  let response, body;
  try {
    response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      headers: settings.key ? { Authorization: `Bearer ${settings.key}` } : {},
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    body = (await response.json()) ?? {};
  } catch {
    const elsewhere = url.origin !== location.origin;
    throw new Refusal('away', elsewhere ? t('server.away.elsewhere', { address: url.origin }) : t('server.away'));
  }
  if (response.ok && body.ok !== false) return body;
  // A gateway before the service refuses what is too large in words of its own.
  const { msg = t('server.fault'), code = response.status === 413 ? 'image_too_large' : '' } = body;
  if (response.status === 401 || response.status === 403) throw new Refusal('key', t('server.key'), { code });
  const retryAfter = 1000 * (Number(response.headers.get('Retry-After')) || 0);
  if (response.status === 503 || response.status === 429) throw new Refusal('busy', t('server.busy'), { code, retryAfter });
  if (response.status >= 500) throw new Refusal('fault', t('server.fault'), { code });
  throw new Refusal('refused', has(`code.${code}`) ? t(`code.${code}`) : msg, { code });
}

/** What `/config` tells. */
export const config = () => call('config');
