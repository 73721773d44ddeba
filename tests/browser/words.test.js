// The pages' words, and what the pages reckon with, as the browser runs it.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Server, launch, visit } from './harness.js';

const WEB = path.resolve(import.meta.dirname, '../../shared/http/web');

let server, browser, page;
before(async () => {
  server = await Server.start();
  browser = await launch();
  page = await visit(browser, `${server.origin}/live`);
});
after(async () => {
  await browser?.close();
  await server?.remove();
});

test('both languages have the same words, each with the same places, and every word that a page asks for', async () => {
  const { en, id } = await page.evaluate(async () => ({ en: (await import('/web/en.js')).words, id: (await import('/web/id.js')).words }));
  assert.deepEqual(Object.keys(en).sort(), Object.keys(id).sort());
  const places = (words) => (words.match(/\{\w+\}/g) ?? []).sort();
  for (const key of Object.keys(en)) assert.deepEqual(places(en[key]), places(id[key]), key);
  const asked = readdirSync(WEB).flatMap((name) => {
    const text = readFileSync(path.join(WEB, name), 'utf8');
    return [...text.matchAll(/(?:\bt\('|data-t(?:-label|-placeholder)?="|'data-t(?:-placeholder)?': ')([\w.]+)['"]/g)].map(([, key]) => key);
  });
  assert.ok(asked.length > 60, `${asked.length}`);
  for (const key of asked) assert.ok(key in en, key);
});

test('a language that has no file is English', async () => {
  for (const [locale, lang] of [
    ['fr-FR', 'en'],
    ['in-ID', 'id'],
  ]) {
    const other = await visit(browser, `${server.origin}/live`, { locale });
    await other.waitForFunction(() => document.title !== 'Attendance');
    assert.equal(await other.evaluate(() => document.documentElement.lang), lang, locale);
    await other.context().close();
  }
});

test('a frame shows what the screen shows, and a box is mirrored with it', async () => {
  const { wide, tall, small, box } = await page.evaluate(async () => {
    const { seen, fitted, mirrored } = await import('/web/geometry.js');
    return {
      wide: seen({ width: 640, height: 480 }, { width: 1280, height: 480 }),
      tall: seen({ width: 640, height: 480 }, { width: 240, height: 480 }),
      small: [fitted({ width: 300, height: 200 }, 800), fitted({ width: 1600, height: 900 }, 800)],
      box: mirrored([10, 40, 30, 20], { width: 100, height: 50 }, { width: 200, height: 200 }),
    };
  });
  assert.deepEqual(wide, { x: 0, y: 120, width: 640, height: 240 });
  assert.deepEqual(tall, { x: 200, y: 0, width: 240, height: 480 });
  assert.deepEqual(small, [{ width: 300, height: 200 }, { width: 800, height: 450 }]);
  assert.deepEqual(box, { left: 120, top: 40, width: 40, height: 80 });
});

test('who comes again after a while is welcomed again, and one blurred frame is no stranger', async () => {
  const said = await page.evaluate(async () => {
    const { Presence } = await import('/web/presence.js');
    const presence = new Presence();
    const frame = (label, report) => ({ results: [{ label }], dispatch: report ? [{ label, report }] : [] });
    const sent = { status: 'sent' };
    const cooling = { status: 'skipped', message: 'cooldown_active (3s left)' };
    const at = (now, ...observed) => [presence.observe(frame(...observed), now).map(({ kind }) => kind), presence.cards(now).map(({ kind }) => kind)];
    return [
      at(0, 'a', sent),
      at(1000, 'a', cooling),
      at(1200, 'Unknown'),
      at(1400, 'a', cooling),
      at(5000, 'a', cooling),
      at(6000, 'a', sent),
      at(30_000, 'a', cooling),
      at(60_000, 'a', { status: 'failed', message: 'queued: away' }),
      at(80_000, 'Unknown'),
      at(80_200, 'Unknown'),
      at(80_400, 'Unknown'),
      at(90_000, 'b'),
      // Noted is not taken, however long the person stays.
      at(200_000, 'c', { status: 'failed', message: 'queued: away' }),
      at(206_000, 'c', cooling),
      at(300_000, 'd', { status: 'skipped', message: 'webhook_disabled' }),
      at(306_000, 'd', { status: 'skipped', message: 'webhook_disabled' }),
    ];
  });
  assert.deepEqual(said, [
    [['taken'], ['taken']],
    [[], ['taken']],
    [[], ['taken']],
    [[], ['taken']],
    [[], ['already']],
    [[], ['already']],
    [['already'], ['already']],
    [['queued'], ['queued']],
    [[], []],
    [['unknown'], ['unknown']],
    [[], ['unknown']],
    [[], ['seen']],
    [['queued'], ['queued']],
    [[], ['queued']],
    [['recognized'], ['recognized']],
    [[], ['recognized']],
  ]);
});
