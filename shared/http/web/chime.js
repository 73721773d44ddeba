// A short sound for a welcome, where the settings ask for one.

import { settings } from './settings.js';

let context = null;

// A browser lets a page sound only after it was touched once.
for (const touch of ['pointerdown', 'keydown']) {
  addEventListener(touch, () => {
    if (settings.sound) context ??= new AudioContext();
  });
}

/** Two rising notes. */
export function chime() {
  if (!settings.sound || context?.state !== 'running') return;
  for (const [i, pitch] of [660, 880].entries()) {
    const begin = context.currentTime + i * 0.12;
    const volume = context.createGain();
    volume.gain.setValueAtTime(0.2, begin);
    volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.3);
    const tone = new OscillatorNode(context, { frequency: pitch });
    tone.connect(volume).connect(context.destination);
    tone.start(begin);
    tone.stop(begin + 0.3);
  }
}
