// The page in the office.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OUT, SIZES, Server, accessible, launch, sample, sleep, until, visit } from './harness.js';

let server, browser;
before(async () => {
  server = await Server.start({ env: { EVENT_COOLDOWN_SECONDS: '1' } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.remove();
});

const recognize = (picture, query = '') => server.post(`/recognize/realtime${query}`, {}, sample(picture));
const rows = (page) => page.locator('#feed tr');
const connection = (page, words) => page.locator('#connection').filter({ hasText: new RegExp(`^${words}$`) }).waitFor({ timeout: 15_000 });

test('who is recognized is on the wall within a second: who, when, where, distance and delivery', async () => {
  await server.enroll('obama', sample('obama'));
  await server.enroll('biden', sample('biden'));
  const page = await visit(browser, `${server.origin}/live`);
  await connection(page, 'Connected');
  await until('the enrolments', async () => (await rows(page).count()) === 2);
  // The page itself notes when the row is there.
  await page.evaluate(() => {
    new MutationObserver(() => {
      if (document.querySelector('#feed tr.recognized')) window.shown ??= Date.now();
    }).observe(document.getElementById('feed'), { childList: true });
  });
  const answer = await recognize('obama', '?class_id=7A&device_id=door-1');
  const answered = Date.now();
  assert.equal(answer.dispatch[0].report.status, 'sent');
  const shown = await until('the row', () => page.evaluate(() => window.shown));
  console.log(`answer to row on the live wall: ${shown - answered} ms`);
  assert.ok(shown - answered < 1000, `${shown - answered} ms`);
  const cells = await rows(page).first().locator('td').allInnerTexts();
  assert.match(cells[0], /^\d\d:\d\d/);
  assert.deepEqual(cells.slice(1, 3), ['obama', '7A · door-1']);
  assert.match(cells[3], /^0\.\d\d$/);
  assert.equal(cells[4], 'sent');

  // A repeat within the cooldown is no row of its own.
  await recognize('obama', '?class_id=7A&device_id=door-1');
  await rows(page).first().getByText('seen 2 times').waitFor();
  assert.equal(await page.locator('#feed tr.recognized').count(), 1);

  await recognize('biden', '?class_id=7B&device_id=door-2');
  await rows(page).first().getByText('biden').waitFor();
  assert.match(await page.locator('#chart svg').getAttribute('aria-label'), /: 2$/);

  await page.screenshot({ path: `${OUT}/live.png` });

  await page.locator('#class').selectOption('7A');
  await until('the class alone', async () => (await page.locator('#feed strong').allInnerTexts()).join() === 'obama');
  assert.match(await page.locator('#chart svg').getAttribute('aria-label'), /: 1$/);
  await page.locator('#device').selectOption('door-2');
  await page.getByText('Nobody yet').waitFor();
  await page.locator('#class').selectOption('');
  await until('the device alone', async () => (await page.locator('#feed strong').allInnerTexts()).join() === 'biden');

  // Another wall that is opened later sees what was before.
  const second = await visit(browser, `${server.origin}/live`);
  await until('the past', async () => (await rows(second).count()) === 4);
  page.check();
  second.check();
  await page.context().close();
  await second.context().close();
});

test('it says when it is not connected, connects again by itself, and has missed nothing', async () => {
  const page = await visit(browser, `${server.origin}/live`, { expected: /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|WebSocket connection/ });
  await connection(page, 'Connected');
  await until('the past', async () => (await rows(page).count()) === 4);
  await server.stop();
  await connection(page, 'Not connected');
  await page.getByRole('alert').waitFor();
  await accessible(page, 'live without a server');
  await server.run();
  await sleep(1100);
  await recognize('biden', '?class_id=9C');
  await connection(page, 'Connected');
  await until('what was missed, once', async () => (await rows(page).count()) === 5);
  assert.match(await rows(page).first().innerText(), /biden[\s\S]*9C/);
  assert.equal(await page.locator('#notice').isVisible(), false);
  page.check();
  await page.context().close();
});

test('an event whose delivery fails waits, and its row says when it is sent', async () => {
  // A receiver that is away at first.
  const { createServer } = await import('node:http');
  let up = false;
  const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(up ? 200 : 503).end('{}');
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => receiver.once('listening', resolve));
  const env = { ATTENDANCE_WEBHOOK_URL: `http://127.0.0.1:${receiver.address().port}/`, ATTENDANCE_RETRY_SCHEDULE: '1s' };
  const server = await Server.start({ env });
  try {
    await server.enroll('obama', sample('obama'));
    const page = await visit(browser, `${server.origin}/live`);
    await connection(page, 'Connected');
    await server.post('/recognize/realtime', {}, sample('obama'));
    await rows(page).first().getByText('waiting to be sent').waitFor();
    up = true;
    await rows(page).first().getByText('sent', { exact: true }).waitFor({ timeout: 10_000 });
    page.check();
    await page.context().close();
  } finally {
    receiver.closeAllConnections();
    receiver.close();
    await server.remove();
  }
});

test('it fits a phone, a tablet and a desktop, in both languages and both colours, and axe finds nothing', async () => {
  for (const [name, viewport] of Object.entries(SIZES)) {
    for (const [locale, title, colorScheme] of [
      ['en-GB', 'Live attendance', 'light'],
      ['id-ID', 'Kehadiran langsung', 'dark'],
    ]) {
      const page = await visit(browser, `${server.origin}/live`, { viewport, locale, colorScheme });
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
      await until('rows', async () => (await rows(page).count()) > 2);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: nothing is cut off at the side`);
      await accessible(page, `live, ${name}, ${locale}`);
      await page.screenshot({ path: `${OUT}/live-${name}-${locale}.png` });
      page.check();
      await page.context().close();
    }
  }
});
