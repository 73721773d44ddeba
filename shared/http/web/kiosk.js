// The page at the door: the camera's frames go to the service, one at a time, and whoever it knows is welcomed.

import { call, config } from './api.js';
import { Camera, capture } from './camera.js';
import { chime } from './chime.js';
import { $, backoff, h, notice, pause } from './dom.js';
import { fitted, mirrored, seen } from './geometry.js';
import { Presence } from './presence.js';
import { explainProblems } from './problem.js';
import { changes, offerSettings, settings } from './settings.js';
import { t, timeOfDay } from './text.js';

/** The longer side of a frame, in pixels: enough for faces two meters away. */
const FRAME_SIDE = 800;
/** The service is left alone for this part of the time that it took to answer, so that other kiosks have their turn. */
const REST = 0.25;
const LEAST_REST_MS = 40;
/** The longest wait after a call that failed. */
const MOST_WAIT_MS = 8000;
/** How long boxes stay where no newer answer comes. */
const BOX_MS = 1500;
/** How far down the page's header and a name reach, in pixels. */
const HEADER = 110;
/** The kinds of news that are a welcome. */
const WELCOMES = ['taken', 'queued', 'recognized'];

const video = $('video');
const stage = $('stage');
const canvas = document.createElement('canvas');
const camera = new Camera(video);
const presence = new Presence();
const openSettings = offerSettings(config, { camera: true, sound: true });

/** Aborted, and made anew, whenever waiting has lost its reason. */
let waiting = new AbortController();
function wake() {
  waiting.abort();
  waiting = new AbortController();
}

/** Sends frame after frame for as long as the page is open; at most one is on its way. */
async function watch() {
  let failures = 0;
  for (;;) {
    if (camera.state !== 'on' || document.hidden || video.readyState < video.HAVE_CURRENT_DATA) {
      await pause(200, waiting.signal);
      continue;
    }
    const begun = performance.now();
    try {
      await look(begun);
      failures = 0;
      document.body.classList.remove('unanswered');
      notice(null);
      await pause(Math.max(LEAST_REST_MS, REST * (performance.now() - begun)), waiting.signal);
    } catch (problem) {
      if (!problem.kind) throw problem;
      show({ results: [], frame: { width: 1, height: 1 } });
      document.body.classList.add('unanswered');
      notice(problem.message, problem.kind === 'key' ? [t('settings'), openSettings] : undefined);
      await pause(Math.max(problem.retryAfter, backoff(failures, MOST_WAIT_MS)), waiting.signal);
      failures += 1;
    }
  }
}

/** One frame there and back. What is sent is what is seen on the screen, and nothing beside it. */
async function look(begun) {
  const view = { width: stage.clientWidth, height: stage.clientHeight };
  const part = seen({ width: video.videoWidth, height: video.videoHeight }, view);
  const frame = fitted(part, FRAME_SIDE);
  const form = new FormData();
  form.append('image', await capture(video, part, frame, canvas), 'frame.jpg');
  const query = { device_id: settings.device, class_id: settings.class, session_id: settings.session };
  const answer = await call('recognize/realtime', { form, query });
  announce(presence.observe(answer, Date.now()));
  // Who was seen is told; a box would lie on nothing where the camera went away meanwhile.
  if (camera.state === 'on') show({ results: answer.results, frame });
  greet();
  requestAnimationFrame(() => {
    const { duration } = performance.measure('frame to box', { start: begun });
    $('latency').textContent = t('kiosk.latency', { ms: Math.round(duration) });
    // The browser would keep them for as long as the kiosk runs.
    if (performance.getEntriesByName('frame to box').length > 500) performance.clearMeasures('frame to box');
  });
}

let boxesSince = 0;
/** Draws the boxes of a frame's faces. */
function show({ results, frame }) {
  boxesSince = performance.now();
  const view = { width: stage.clientWidth, height: stage.clientHeight };
  $('faces').replaceChildren(
    ...results.map(({ box, label, distance }) => {
      const known = label !== 'Unknown';
      const name = h('span', { className: 'name' }, known ? label : t('kiosk.unknown.box'));
      if (distance !== null) name.append(h('small', { textContent: ` ${distance.toFixed(2)}` }));
      const element = h('div', { className: known ? 'face known' : 'face' }, name);
      const place = mirrored(box, frame, view);
      element.classList.toggle('high', place.top < HEADER);
      for (const [side, pixels] of Object.entries(place)) element.style[side] = `${pixels}px`;
      return element;
    }),
  );
}

let cardsShown = '';
/** Shows who is welcomed. */
function greet() {
  const cards = presence.cards(Date.now());
  const shown = JSON.stringify(cards);
  if (shown === cardsShown) return;
  cardsShown = shown;
  $('cards').replaceChildren(
    ...cards.map(({ kind, label, at }) =>
      h('li', { className: `card ${kind}` }, h('strong', { textContent: headline(kind, label) }), h('span', { textContent: line(kind, at) })),
    ),
  );
  $('hint').hidden = cards.length > 0;
}

const headline = (kind, label) =>
  WELCOMES.includes(kind) ? t('kiosk.welcome', { name: label }) : kind === 'unknown' ? t('kiosk.unknown') : label;

const line = (kind, at) =>
  kind === 'already' && at === null ? t('kiosk.already.untimed') : t(`kiosk.${kind}.line`, { time: at === null ? '' : timeOfDay(new Date(at)) });

/** Tells a screen reader what is new, and sounds for a welcome. */
function announce(news) {
  if (!news.length) return;
  $('announcement').textContent = news.map(({ kind, label, at }) => `${headline(kind, label)}. ${line(kind, at)}`).join(' ');
  if (news.some(({ kind }) => WELCOMES.includes(kind))) chime();
}

setInterval(() => {
  $('clock').textContent = timeOfDay(new Date());
  greet();
  if (performance.now() - boxesSince > BOX_MS) $('faces').replaceChildren();
}, 250);

explainProblems(camera, $('problem'));
camera.addEventListener('state', () => {
  document.body.classList.toggle('filming', camera.state === 'on');
  if (camera.state !== 'on') $('faces').replaceChildren();
  wake();
});
changes.addEventListener('change', () => {
  camera.start();
  wake();
});
addEventListener('online', wake);
document.addEventListener('visibilitychange', () => {
  wake();
  stayAwake();
});

/** Keeps the screen lit while the page is seen. */
async function stayAwake() {
  if (!document.hidden) await navigator.wakeLock?.request('screen').catch(() => {});
}

if (document.fullscreenEnabled) {
  $('fullscreen').hidden = false;
  $('fullscreen').addEventListener('click', () =>
    document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
  );
}

stayAwake();
camera.start();
watch();
