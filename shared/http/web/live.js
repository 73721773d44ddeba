// The page in the office: who was recognized, when and where, as it happens.

import { config } from './api.js';
import { chart, perQuarter } from './chart.js';
import { $, h, notice } from './dom.js';
import { Feed } from './feed.js';
import { changes, offerSettings } from './settings.js';
import { t, timeOfDay } from './text.js';
import { Wall } from './wall.js';

const openSettings = offerSettings(config);
const wall = new Wall();
const feed = new Feed();
const choice = { class: '', device: '' };

const BADGES = { sent: 'good', queued: 'wait', dead: 'bad', off: 'quiet', repeated: 'quiet', enrolled: 'good' };

function line({ kind, student, at, context, distance, delivery, times }) {
  const who = student === 'Unknown' ? t('live.unknown') : student;
  const name = h('strong', { textContent: who });
  const cell = h('td', {}, name);
  if (times > 1) cell.append(h('small', { className: 'quiet', textContent: ` ${t('live.times', { times })}` }));
  const place = [context.class_id, context.device_id].filter(Boolean).join(' · ');
  const badge = h('span', { className: `badge ${BADGES[delivery]}`, textContent: t(`live.${delivery}`) });
  return h(
    'tr',
    { className: student === 'Unknown' ? 'unknown' : kind },
    h('td', {}, h('time', { dateTime: at.toISOString(), textContent: timeOfDay(at) })),
    cell,
    h('td', { textContent: place }),
    h('td', { className: 'number', textContent: distance === null ? '' : distance.toFixed(2) }),
    h('td', {}, badge),
  );
}

function fillChoices(select, values, all) {
  const known = ['', ...[...values].sort()];
  const shown = Array.from(select.options, (option) => option.value);
  if (JSON.stringify(shown) === JSON.stringify(known)) return;
  select.replaceChildren(...known.map((value) => h('option', { value, textContent: value || t(all) })));
  select.value = choice[select.id];
}

let due = false;
/** Draws what is to be seen, once for all messages that came together. */
function draw() {
  if (due) return;
  due = true;
  // Not requestAnimationFrame, which rests while the page is behind another.
  setTimeout(() => {
    due = false;
    fillChoices($('class'), wall.values('class_id'), 'live.all');
    fillChoices($('device'), wall.values('device_id'), 'live.all');
    const rows = wall.rows(choice);
    $('feed').replaceChildren(...rows.slice(0, 200).map(line));
    $('empty').hidden = rows.length > 0;
    $('chart').replaceChildren(chart(perQuarter(rows, new Date())));
  }, 30);
}

feed.addEventListener('message', ({ detail }) => {
  wall.add(detail);
  draw();
});
feed.addEventListener('state', () => {
  $('connection').className = `badge ${feed.state === 'open' ? 'good' : 'wait'}`;
  $('connection').textContent = t(`live.${feed.state}`);
  const { problem } = feed;
  notice(problem && problem.message, problem?.kind === 'key' ? [t('settings'), openSettings] : undefined);
});
for (const name of Object.keys(choice)) {
  $(name).addEventListener('change', () => {
    choice[name] = $(name).value;
    draw();
  });
}
changes.addEventListener('change', () => feed.wake({ anew: true }));
addEventListener('online', () => feed.wake());
// The chart moves on although nothing comes.
setInterval(draw, 60_000);

draw();
feed.run();
