// The page that enrols students: by the camera, by pictures, or by a folder of many students.

import { call, config } from './api.js';
import { Camera, capture } from './camera.js';
import { $, backoff, h, notice, pause } from './dom.js';
import { dropped, entriesOf, isPicture, studentOf, unwanted } from './folder.js';
import { fitted, seen } from './geometry.js';
import { explainProblems } from './problem.js';
import { changes, offerSettings } from './settings.js';
import { t } from './text.js';

/** Pictures on their way at once: the next one travels while the service looks at this one. */
const SIDE_BY_SIDE = 2;
const MOST_WAIT_MS = 8000;
/** How often a picture is sent at which the service fails. */
const FAULTS = 3;
/** The longer side of a picture that is made smaller, in pixels: plenty for one face. */
const SMALLER_SIDE = 2400;
const STUDENT = /^(?!unknown$)[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/i;

const openSettings = offerSettings(config, { camera: true });
const student = $('student');

/** Pictures that wait to be sent: `{file, student, row}`. */
const queue = [];
const count = { all: 0, saved: 0, refused: 0 };
let sending = 0;
let failures = 0;
let waiting = new AbortController();

/** Puts pictures in line: `[{file, path}]`, the student's id being the path's folder, else what was typed. */
function add(entries) {
  const wanted = entries.filter(({ path }) => !unwanted(path));
  const alone = wanted.some(({ path }) => !studentOf(path));
  if (alone && !STUDENT.test(student.value.trim())) {
    const empty = student.value.trim() === '';
    student.setCustomValidity(t(empty ? 'enrol.student.missing' : 'code.invalid_student_id'));
    student.reportValidity();
    student.focus();
    return;
  }
  for (const { file, path } of wanted) {
    const item = { file, student: studentOf(path) || student.value.trim() };
    item.row = row(item, path);
    count.all += 1;
    if (studentOf(path) && !isPicture(path)) {
      count.refused += 1;
      mark(item, 'refused', t('code.unsupported_image'));
    } else {
      queue.push(item);
    }
  }
  if (wanted.length) {
    $('results').hidden = false;
    $('results').scrollIntoView({ block: 'nearest' });
  }
  tell();
  while (sending < SIDE_BY_SIDE && queue.length) send();
}

function row({ file, student }, path) {
  const picture = h('img', { alt: '', loading: 'lazy', decoding: 'async', width: 72, height: 72, src: URL.createObjectURL(file) });
  picture.addEventListener('load', () => URL.revokeObjectURL(picture.src), { once: true });
  picture.addEventListener('error', () => picture.replaceWith(h('span', { className: 'no-picture' })), { once: true });
  const state = h('span', { className: 'state', textContent: t('enrol.waiting') });
  const words = h('div', {}, h('strong', { textContent: student }), h('span', { className: 'quiet', textContent: path }), state);
  const element = h('li', {}, picture, words);
  $('pictures').prepend(element);
  return { element, state };
}

function mark({ row }, kind, words) {
  row.element.className = kind;
  row.state.textContent = words;
}

/** Sends pictures until none waits. */
async function send() {
  sending += 1;
  while (queue.length) {
    const item = queue.shift();
    mark(item, 'sending', t('enrol.sending'));
    const form = new FormData();
    form.append('student_id', item.student);
    form.append('image', item.file, item.file.name);
    try {
      const { saved } = await call('enroll', { form });
      count.saved += 1;
      mark(item, 'saved', t('enrol.saved', { count: saved }));
      failures = 0;
      notice(null);
    } catch (problem) {
      if (!problem.kind) throw problem;
      const smaller = problem.code === 'image_too_large' && !item.smaller && (await madeSmaller(item.file));
      if (problem.kind === 'fault') item.faults = (item.faults ?? 0) + 1;
      if (smaller) {
        Object.assign(item, { file: smaller, smaller: true });
        queue.unshift(item);
      } else if (problem.kind === 'refused') {
        count.refused += 1;
        mark(item, 'refused', problem.message);
      } else if (item.faults >= FAULTS) {
        // The others need not wait for it any longer.
        count.refused += 1;
        mark(item, 'refused', t('enrol.fault'));
      } else {
        queue.unshift(item);
        mark(item, 'waiting', t('enrol.waiting'));
        notice(problem.message, problem.kind === 'key' ? [t('settings'), openSettings] : undefined);
        await pause(Math.max(problem.retryAfter, backoff(failures, MOST_WAIT_MS)), waiting.signal);
        failures += 1;
      }
    }
    tell();
  }
  sending -= 1;
  tell();
}

/** The picture as a smaller JPEG, for a service that takes none so large; null where this browser cannot read it. */
async function madeSmaller(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const size = fitted(picture, SMALLER_SIDE);
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  const blob = await capture(picture, whole, size, document.createElement('canvas'));
  picture.close();
  return new File([blob], file.name, { type: blob.type });
}

/** Shows how far it is. */
function tell() {
  const done = count.saved + count.refused;
  $('progress').max = Math.max(1, count.all);
  $('progress').value = done;
  $('progress-row').hidden = done === count.all;
  $('summary').textContent = t('enrol.summary', { done, ...count });
}

$('stop').addEventListener('click', () => {
  for (const item of queue.splice(0)) {
    count.all -= 1;
    mark(item, 'refused', t('enrol.stopped'));
  }
  tell();
});

addEventListener('beforeunload', (event) => {
  if (queue.length || sending) event.preventDefault();
});

student.addEventListener('input', () => student.setCustomValidity(''));

// Files and folders.
for (const [button, input] of [
  [$('choose'), $('files')],
  [$('choose-folder'), $('folder')],
]) {
  button.addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    add(entriesOf(input.files));
    input.value = '';
  });
}
addEventListener('dragover', (event) => {
  event.preventDefault();
  $('drop').classList.add('over');
});
addEventListener('dragleave', (event) => {
  // Leaving one element for another of the page is no leaving.
  if (!event.relatedTarget) $('drop').classList.remove('over');
});
addEventListener('drop', async (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  add(await dropped(event.dataTransfer));
});

// The camera: only while it is wanted.
const video = $('video');
const camera = new Camera(video);
const canvas = document.createElement('canvas');
explainProblems(camera, $('problem'));
camera.addEventListener('state', () => {
  const on = camera.state === 'on';
  $('viewfinder').classList.toggle('on', on);
  $('shoot').disabled = !on;
  $('camera').textContent = t(camera.state === 'off' ? 'enrol.camera.on' : 'enrol.camera.off');
});
$('camera').addEventListener('click', () => (camera.state === 'off' ? camera.start() : camera.stop()));
$('shoot').addEventListener('click', async () => {
  // What is seen between the edges, at the camera's full size.
  const { clientWidth: width, clientHeight: height } = video;
  const part = seen({ width: video.videoWidth, height: video.videoHeight }, { width, height });
  const blob = await capture(video, part, fitted(part, Infinity), canvas);
  const name = `${new Date().toISOString().replaceAll(':', '-')}.jpg`;
  add([{ file: new File([blob], name, { type: 'image/jpeg' }), path: name }]);
});

changes.addEventListener('change', () => {
  waiting.abort();
  waiting = new AbortController();
  if (camera.state !== 'off') camera.start();
});
