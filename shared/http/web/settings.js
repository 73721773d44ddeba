// What a person sets once on a device, kept by the browser, and the dialog to set it.

import { $, h } from './dom.js';
import { fill, t } from './text.js';

const KEY = 'attendance.settings';
const FIELDS = { key: '', device: '', class: '', session: '', camera: '', sound: false, api: '' };

function stored() {
  try {
    return { ...FIELDS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
  } catch {
    return { ...FIELDS };
  }
}

/** The settings as they are now. */
export const settings = stored();

/** Tells `change` when the settings are others, also by another page of this browser. */
export const changes = new EventTarget();

addEventListener('storage', (event) => {
  if (event.key === KEY) adopt(stored());
});

function adopt(values) {
  Object.assign(settings, values);
  changes.dispatchEvent(new Event('change'));
}

const text = (name, props = {}) =>
  h('label', {}, h('span', { 'data-t': `settings.${name}` }), h('input', { name, autocomplete: 'off', maxLength: 128, ...props }));

/**
 * Makes the button `settings` open the dialog. `parts` says what else it offers: `{camera, sound}` where the page has use
 * for them. `config` resolves to what `/config` tells.
 */
export function offerSettings(config, parts = {}) {
  const camera = h('select', { name: 'camera' });
  const sound = h('input', { type: 'checkbox', name: 'sound' });
  const tolerance = h('output', { name: 'tolerance' });
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'settings-title', 'data-t': 'settings.title' }),
    text('key', { type: 'password' }),
    h('div', { className: 'columns' }, text('device'), text('class'), text('session')),
    ...(parts.camera ? [h('label', {}, h('span', { 'data-t': 'settings.camera' }), camera)] : []),
    ...(parts.sound ? [h('label', { className: 'switch' }, sound, h('span', { 'data-t': 'settings.sound' }))] : []),
    text('api', { type: 'url', maxLength: 500, 'data-t-placeholder': 'settings.api.placeholder' }),
    h('p', { className: 'quiet' }, h('span', { 'data-t': 'settings.tolerance' }), ' ', tolerance),
    h(
      'div',
      { className: 'actions' },
      h('button', { type: 'button', className: 'plain', 'data-t': 'settings.cancel', onclick: () => dialog.close() }),
      h('button', { value: 'save', 'data-t': 'settings.save' }),
    ),
  );
  const dialog = h('dialog', { id: 'settings-dialog', 'aria-labelledby': 'settings-title' }, form);
  fill(dialog);
  document.body.append(dialog);

  async function open() {
    for (const [name, value] of Object.entries(settings)) {
      const field = form.elements[name];
      if (!field) continue;
      if (field.type === 'checkbox') field.checked = value;
      else field.value = value;
    }
    dialog.returnValue = '';
    dialog.showModal();
    tolerance.value = '…';
    config().then(
      (answer) => (tolerance.value = answer.tolerance),
      () => (tolerance.value = t('settings.unknown')),
    );
    if (parts.camera) await listCameras(camera);
  }

  dialog.addEventListener('close', () => {
    if (dialog.returnValue !== 'save') return;
    const values = {};
    for (const [name, before] of Object.entries(FIELDS)) {
      const field = form.elements[name];
      if (field) values[name] = typeof before === 'boolean' ? field.checked : field.value.trim();
    }
    try {
      localStorage.setItem(KEY, JSON.stringify({ ...settings, ...values }));
    } catch {
      // A browser that keeps nothing: the settings hold until the page is left.
    }
    adopt(values);
  });
  $('settings').addEventListener('click', open);
  return open;
}

async function listCameras(select) {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const cameras = devices.filter((device) => device.kind === 'videoinput' && device.deviceId);
  const option = (value, label) => h('option', { value, textContent: label });
  const named = cameras.map((device, i) => option(device.deviceId, device.label || t('settings.camera.number', { number: i + 1 })));
  select.replaceChildren(option('', t('settings.camera.any')), ...named);
  select.value = settings.camera;
  if (select.selectedIndex < 0) select.value = '';
}
