// How many were recognized in each quarter of an hour, as bars.

import { t, timeOfDay } from './text.js';

const QUARTER_MS = 15 * 60 * 1000;
const QUARTERS = 12;

/** The last quarters of an hour, oldest first: `[{begin, count}]`. A student counts once in each; the unknown don't. */
export function perQuarter(rows, now) {
  const current = Math.floor(now / QUARTER_MS) * QUARTER_MS;
  const quarters = Array.from({ length: QUARTERS }, (_, i) => current - (QUARTERS - 1 - i) * QUARTER_MS);
  return quarters.map((begin) => {
    const there = rows.filter(({ kind, student, at }) => kind === 'recognized' && student !== 'Unknown' && at >= begin && at < begin + QUARTER_MS);
    return { begin: new Date(begin), count: new Set(there.map(({ student }) => student)).size };
  });
}

const svg = (tag, attributes, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/** The bars, with the same in words for those who do not see them. */
export function chart(quarters) {
  const most = Math.max(4, ...quarters.map(({ count }) => count));
  const words = quarters.filter(({ count }) => count > 0).map(({ begin, count }) => `${timeOfDay(begin)}: ${count}`);
  const label = words.length ? words.join(', ') : t('live.chart.empty');
  const bars = quarters.flatMap(({ begin, count }, i) => {
    const height = (count / most) * 70;
    const x = i * 40 + 4;
    const bar = svg('rect', { x, y: 84 - height, width: 32, height: Math.max(height, 1.5), rx: 3, class: count ? 'bar' : 'bar none' });
    const number = count ? [svg('text', { x: x + 16, y: 79 - height, class: 'count' }, String(count))] : [];
    const hour = i % 2 ? [svg('text', { x: x + 16, y: 100, class: i % 4 === 3 ? 'hour' : 'hour half' }, timeOfDay(begin))] : [];
    return [bar, ...number, ...hour];
  });
  return svg('svg', { viewBox: `-16 -8 ${QUARTERS * 40 + 32} 114`, role: 'img', 'aria-label': label }, ...bars);
}
