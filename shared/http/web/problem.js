// Saying why there is no picture of the camera, and what to do.

import { secureAddress } from './camera.js';
import { h } from './dom.js';
import { t } from './text.js';

/** Keeps `panel` telling what is wrong with the camera, hidden while nothing is. */
export function explainProblems(camera, panel) {
  let told = '';
  const tell = () => {
    const { state } = camera;
    // A new try is no news until it has ended.
    if (state === told || (state === 'starting' && told) || (state === 'off' && told)) return;
    const problem = !['on', 'off', 'starting'].includes(state);
    told = problem ? state : '';
    panel.hidden = !problem;
    panel.replaceChildren();
    if (!problem) return;
    const address = secureAddress();
    const local = `http://localhost${location.port && `:${location.port}`}${location.pathname}`;
    panel.append(
      h('h2', { textContent: t(`camera.${state}`) }),
      h('p', { textContent: t(`camera.${state}.help`, { local }) }),
      state === 'insecure'
        ? h('p', {}, h('a', { href: address, textContent: address, className: 'address' }))
        : h('p', {}, h('button', { type: 'button', textContent: t('camera.again'), onclick: () => camera.start() })),
    );
  };
  camera.addEventListener('state', tell);
}
