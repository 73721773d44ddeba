// The page at the door.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OUT, SIZES, Server, accessible, launch, overlap, sample, sleep, until, videoOf, visit } from './harness.js';

let server, browser;
before(async () => {
  const video = await videoOf('obama');
  server = await Server.start();
  browser = await launch({ video });
});
after(async () => {
  await browser?.close();
  await server?.remove();
});

const card = (page, kind) => page.locator(`.card.${kind}`);

test('a stranger is asked to enrol, is enrolled on the page by the same camera, and is then greeted by name, once', async () => {
  const page = await visit(browser, `${server.origin}/`);
  await card(page, 'unknown').waitFor();
  assert.equal(await card(page, 'unknown').innerText(), 'Unknown\nPlease enrol at the office');
  assert.equal(await page.locator('#announcement').textContent(), 'Unknown. Please enrol at the office');

  await page.getByRole('link', { name: 'Enrol' }).click();
  await page.getByLabel('Student id').fill('obama');
  await page.getByRole('button', { name: 'Turn the camera on' }).click();
  await page.getByRole('button', { name: 'Take the picture' }).click();
  await page.locator('.saved').waitFor();
  assert.equal(await page.locator('#summary').textContent(), '1 of 1 pictures done: 1 saved, 0 refused');

  await page.getByRole('link', { name: 'Kiosk' }).click();
  await card(page, 'taken').waitFor();
  const words = await card(page, 'taken').innerText();
  assert.match(words, /^Welcome, obama\nAttendance taken at \d\d:\d\d$/);
  assert.equal(await page.locator('#announcement').textContent(), words.replace('\n', '. '));
  await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)));
  await page.screenshot({ path: `${OUT}/kiosk.png` });
  await page.evaluate(() => new MutationObserver(() => (window.announced = true)).observe(document.getElementById('announcement'), { childList: true }));

  await card(page, 'already').waitFor();
  assert.equal(await page.locator('.card').count(), 1);
  assert.match(await card(page, 'already').innerText(), /^obama\nTaken already at \d\d:\d\d/);
  // Beyond the cooldown, after which the service takes the attendance of who lingers once more.
  await sleep(2500);
  assert.equal(await card(page, 'already').count(), 1);
  assert.equal(await page.evaluate(() => window.announced), undefined, 'who lingers is not announced again');
  page.check();
  await page.context().close();

  // Another kiosk that has not seen the welcome says no time that it does not know.
  const cooling = await server.post('/recognize/realtime', {}, sample('obama'));
  assert.equal(cooling.dispatch.length, 1);
  const second = await visit(browser, `${server.origin}/`);
  await card(second, 'already').waitFor();
  assert.equal(await card(second, 'already').innerText(), 'obama\nTaken already');
  second.check();
  await second.context().close();
});

for (const [shape, video] of [
  ['4:3', { width: 640, height: 480, face: 130 }],
  ['16:9', { width: 1280, height: 720, face: 190 }],
]) {
  test(`with a ${shape} camera the box lies on the face as seen, at every size of the screen`, async () => {
    const browser = await launch({ video: await videoOf('obama', video) });
    try {
      for (const [name, viewport] of Object.entries(SIZES)) {
        const page = await visit(browser, `${server.origin}/`, { viewport });
        await page.locator('.face.known').waitFor();
        // In one step, for every frame draws its boxes anew.
        const box = await until('a box', () => page.evaluate(() => document.querySelector('.face')?.getBoundingClientRect().toJSON()));
        assert.match(await page.locator('.face').innerText(), /^obama 0\.\d\d$/);
        // What a person sees, and nothing of what lies on it.
        await page.evaluate(() => {
          for (const element of document.querySelectorAll('header, main > :not(#stage), #faces')) element.style.visibility = 'hidden';
        });
        const shot = await page.screenshot({ type: 'jpeg', quality: 95 });
        const { results } = await server.post('/recognize', {}, new Blob([shot]));
        assert.equal(results.length, 1, `${name}: one face on the screen`);
        const [top, right, bottom, left] = results[0].box;
        const face = { x: left, y: top, width: right - left, height: bottom - top };
        const common = overlap(box, face);
        console.log(`box on face, ${shape} camera, ${name}: ${common.toFixed(2)} of their union`);
        assert.ok(common > 0.6, `${name}: ${common}, box ${JSON.stringify(box)}, face ${JSON.stringify(face)}`);
        page.check();
        await page.context().close();
      }
    } finally {
      await browser.close();
    }
  });
}

test('it fits a phone, a tablet and a desktop, in both languages, and axe finds nothing', async () => {
  for (const [name, viewport] of Object.entries(SIZES)) {
    for (const [locale, words] of [
      ['en-GB', /^obama\nTaken already/],
      ['id-ID', /^obama\nSudah dicatat/],
    ]) {
      const page = await visit(browser, `${server.origin}/`, { viewport, locale, hasTouch: name !== 'desktop' });
      await card(page, 'already').waitFor();
      assert.match(await page.locator('.card').innerText(), words);
      assert.equal(await page.evaluate(() => document.documentElement.lang), locale.slice(0, 2));
      assert.equal(await page.title(), locale === 'id-ID' ? 'Kehadiran' : 'Attendance');
      const view = await page.locator('#video').boundingBox();
      assert.deepEqual([view.width, view.height], [viewport.width, viewport.height], 'the picture fills the screen');
      for (const part of ['.card', 'header', '#latency', '#settings']) {
        const box = await page.locator(part).first().boundingBox();
        const inside = box.x >= 0 && box.y >= 0 && box.x + box.width <= viewport.width && box.y + box.height <= viewport.height;
        assert.ok(inside, `${name}: ${part} ${JSON.stringify(box)}`);
      }
      const size = await page.locator('.card strong').evaluate((element) => parseFloat(getComputedStyle(element).fontSize));
      assert.ok(size >= 20, `${name}: the name is ${size} pixels high`);
      await accessible(page, `kiosk, ${name}, ${locale}`);
      await page.screenshot({ path: `${OUT}/kiosk-${name}-${locale}.png` });
      page.check();
      await page.context().close();
    }
  }
});

test('it welcomes in Indonesian', async () => {
  const page = await visit(browser, `${server.origin}/`, { locale: 'id-ID' });
  // The cooldown of the tests before may still run.
  await card(page, 'already').waitFor();
  assert.match(await card(page, 'already').innerText(), /^obama\nSudah dicatat/);
  await page.goto('about:blank');
  await sleep(5500);
  await page.goto(`${server.origin}/`);
  await card(page, 'taken').waitFor();
  assert.match(await card(page, 'taken').innerText(), /^Selamat datang, obama\nKehadiran dicatat pukul \d\d\.\d\d$/);
  page.check();
  await page.context().close();
});

test('a server that stops is told, and the kiosk goes on by itself when it is back', async () => {
  const page = await visit(browser, `${server.origin}/`, { expected: /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/ });
  await page.locator('.face').waitFor();
  await server.stop();
  await page.getByText('The server does not answer').waitFor();
  assert.equal(await page.locator('.face').count(), 0);
  assert.equal(await page.locator('#latency').isVisible(), false, 'nothing says that it works');
  await accessible(page, 'kiosk without a server');
  await server.run();
  await page.locator('.face.known').waitFor({ timeout: 15_000 });
  assert.equal(await page.locator('#notice').isVisible(), false);
  page.check();
  await page.context().close();
});

test('a server that refuses or is busy is asked ever more slowly, and never twice at once', async () => {
  const page = await visit(browser, `${server.origin}/`, { expected: /503/ });
  await page.locator('.face').waitFor();
  const asked = [];
  let open = 0;
  await page.route('**/recognize/realtime*', async (route) => {
    asked.push(performance.now());
    open += 1;
    assert.equal(open, 1, 'one request at a time');
    await sleep(300);
    open -= 1;
    await route.fulfill({ status: 503, json: { ok: false, code: 'overloaded', msg: 'too many' } }).catch(() => {});
  });
  await page.getByText('The server is busy').waitFor();
  await until('four tries', () => asked.length >= 4, 15_000);
  const waits = asked.slice(1).map((at, i) => at - asked[i] - 300);
  assert.ok(waits[0] > 350 && waits[1] > waits[0] && waits[2] > waits[1], `${waits}`);
  page.check();
  await page.context().close();
});

test('a slow answer slows the frames, and a quick one hastens them', async () => {
  const page = await visit(browser, `${server.origin}/`);
  await page.locator('.face').waitFor();
  const pace = async (answerMs) => {
    const asked = [];
    await page.route('**/recognize/realtime*', async (route) => {
      asked.push(performance.now());
      await sleep(answerMs);
      await route.fulfill({ json: { ok: true, results: [], dispatch: [], webhook_enabled: true } }).catch(() => {});
    });
    await until('some frames', () => asked.length > 5, 20_000);
    await page.unroute('**/recognize/realtime*');
    return (asked.at(-1) - asked[1]) / (asked.length - 2);
  };
  const slow = await pace(800);
  const quick = await pace(50);
  assert.ok(slow >= 950 && slow < 3000, `${slow} ms a frame where the answer takes 800`);
  assert.ok(quick < 600, `${quick} ms a frame where the answer takes 50`);
  page.check();
  await page.context().close();
});

test('a refused camera is told, and comes by itself once it is allowed', async () => {
  const browser = await launch({ video: await videoOf('obama'), permission: false });
  try {
    const page = await visit(browser, `${server.origin}/`);
    await page.getByRole('heading', { name: 'The camera is not allowed' }).waitFor();
    await accessible(page, 'kiosk without permission');
    await page.screenshot({ path: `${OUT}/kiosk-refused.png` });
    await page.context().grantPermissions(['camera'], { origin: server.origin });
    await page.locator('.face.known').waitFor({ timeout: 15_000 });
    assert.equal(await page.locator('#problem').isVisible(), false);
    page.check();
  } finally {
    await browser.close();
  }
});

test('a missing camera is told', async () => {
  const browser = await launch({ cameras: 0 });
  try {
    const page = await visit(browser, `${server.origin}/`);
    await page.getByRole('heading', { name: 'No camera is found' }).waitFor();
    await accessible(page, 'kiosk without a camera');
    page.check();
  } finally {
    await browser.close();
  }
});

test('an unplugged camera is told, and comes by itself when it is back', async () => {
  const page = await visit(browser, `${server.origin}/`);
  await page.locator('.face').waitFor();
  await page.evaluate(() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    window.back = () => {
      devices.getUserMedia = open;
      devices.dispatchEvent(new Event('devicechange'));
    };
    devices.getUserMedia = () => Promise.reject(new DOMException('gone', 'NotFoundError'));
    const [track] = document.getElementById('video').srcObject.getVideoTracks();
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  await page.getByRole('heading', { name: 'The camera was unplugged' }).waitFor();
  assert.equal(await page.locator('.face').count(), 0);
  await page.evaluate(() => window.back());
  await page.locator('.face.known').waitFor();
  page.check();
  await page.context().close();
});

test('nothing moves for those who want it so', async () => {
  const page = await visit(browser, `${server.origin}/`, { reducedMotion: 'reduce' });
  await page.locator('.card').waitFor();
  assert.equal(await page.locator('.card').evaluate((element) => getComputedStyle(element).animationName), 'none');
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  assert.equal(await page.locator('.card').evaluate((element) => getComputedStyle(element).animationName), 'rise');
  await page.context().close();
});

test('without a webhook a person is still welcomed, and no attendance is claimed', async () => {
  const server = await Server.start({ webhook: false });
  try {
    await server.enroll('obama', sample('obama'));
    const page = await visit(browser, `${server.origin}/`);
    await card(page, 'recognized').waitFor();
    assert.match(await card(page, 'recognized').innerText(), /^Welcome, obama\nRecognized at /);
    page.check();
    await page.context().close();
  } finally {
    await server.remove();
  }
});

test('the time from a frame to its box is shown and measured', async () => {
  const page = await visit(browser, `${server.origin}/`);
  const frames = () => page.evaluate(() => performance.getEntriesByName('frame to box').map(({ duration }) => duration));
  const measured = await until('twenty frames', async () => ((await frames()).length >= 20 ? frames() : null), 60_000);
  assert.match(await page.locator('#latency').innerText(), /^\d+ ms from frame to box$/);
  measured.sort((a, b) => a - b);
  const at = (part) => Math.round(measured[Math.floor((measured.length - 1) * part)]);
  console.log(`frame to box, ${measured.length} frames: median ${at(0.5)} ms, 95 % within ${at(0.95)} ms`);
  assert.ok(at(0.5) < 5000);
  page.check();
  await page.context().close();
});
