// The page that enrols.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { OUT, SIZES, Server, accessible, launch, sample, until, videoOf, visit } from './harness.js';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch({ video: await videoOf('biden') });
});
after(async () => {
  await browser?.close();
  await server?.remove();
});

const summary = (page, words) => page.locator('#summary').filter({ hasText: words }).waitFor({ timeout: 30_000 });

/** A folder as a school has it: two students, a file that is no picture, and some that nobody means. */
function schoolFolder() {
  const folder = `${OUT}/school`;
  rmSync(folder, { recursive: true, force: true });
  for (const student of ['s-001', 's-002']) mkdirSync(`${folder}/${student}`, { recursive: true });
  cpSync(sample('obama'), `${folder}/s-001/front view (1).jpg`);
  cpSync(sample('biden'), `${folder}/s-002/b.JPG`);
  writeFileSync(`${folder}/s-002/notes.txt`, 'not a picture');
  writeFileSync(`${folder}/s-002/Thumbs.db`, 'nobody means this');
  writeFileSync(`${folder}/s-002/.DS_Store`, 'nor this');
  writeFileSync(`${folder}/README.md`, 'nor this');
  return folder;
}

test('several pictures at once: each says beside it whether it is saved or why not', async () => {
  const page = await visit(browser, `${server.origin}/enrol`, { expected: /status of 4(00|15)/ });
  const blank = Buffer.from(await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(300, 300);
    canvas.getContext('2d').fillRect(0, 0, 200, 100);
    const blob = await canvas.convertToBlob({ type: 'image/png' });
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
  }));
  const files = [
    { name: 'good.jpg', mimeType: 'image/jpeg', buffer: readFileSync(sample('biden')) },
    { name: 'blank.png', mimeType: 'image/png', buffer: blank },
    { name: 'broken.jpg', mimeType: 'image/jpeg', buffer: readFileSync(sample('obama')).subarray(0, 4000) },
    { name: 'old.gif', mimeType: 'image/gif', buffer: Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64') },
  ];
  await page.locator('#files').setInputFiles(files);
  assert.equal(await page.locator('#pictures li').count(), 0, 'nothing is sent without a student id');
  assert.match(await page.locator('#student').evaluate((field) => field.validationMessage), /student id first/);
  await page.getByLabel('Student id').fill('.hidden');
  await page.locator('#files').setInputFiles(files);
  assert.equal(await page.locator('#pictures li').count(), 0);
  await page.getByLabel('Student id').fill('biden');
  await page.locator('#files').setInputFiles(files);
  await summary(page, '4 of 4 pictures done: 1 saved, 3 refused');
  await page.getByRole('button', { name: 'Turn the camera on' }).click();
  await page.getByRole('button', { name: 'Take the picture' }).click();
  await summary(page, '5 of 5 pictures done: 2 saved, 3 refused');
  const state = (name) => page.locator('#pictures li').filter({ hasText: name }).locator('.state').innerText();
  assert.match(await state('good.jpg'), /Saved/);
  assert.match(await state('blank.png'), /No face is found/);
  assert.match(await state('broken.jpg'), /no picture that can be read/);
  assert.match(await state('old.gif'), /Send JPEG, PNG or WebP/);
  assert.equal(await page.locator('progress').isVisible(), false, 'it is done');
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `enrol, ${colorScheme}`);
    await page.screenshot({ path: `${OUT}/enrol-${colorScheme}.png`, fullPage: true });
  }
  await page.getByRole('button', { name: 'Turn the camera off' }).click();
  await page.locator('#shoot:disabled').waitFor();
  page.check();
  await page.context().close();
});

for (const way of ['dropped', 'chosen']) {
  test(`a folder of many students that is ${way} enrols each by the folder's name`, async () => {
    const folder = schoolFolder();
    const server = await Server.start();
    try {
      const page = await visit(browser, `${server.origin}/enrol`);
      if (way === 'chosen') {
        await page.locator('#folder').setInputFiles(folder);
      } else {
        // As the operating system does it: a real folder, dragged from elsewhere.
        const session = await page.context().newCDPSession(page);
        const { x, y } = await page.locator('#drop').boundingBox();
        const at = { x: x + 30, y: y + 30, data: { items: [], files: [folder], dragOperationsMask: 1 } };
        for (const type of ['dragEnter', 'dragOver']) await session.send('Input.dispatchDragEvent', { type, ...at });
        await page.locator('#drop.over').waitFor();
        await session.send('Input.dispatchDragEvent', { type: 'drop', ...at });
      }
      await summary(page, '3 of 3 pictures done: 2 saved, 1 refused');
      assert.equal(await page.locator('#drop.over').count(), 0);
      const rows = await page.locator('#pictures li').allInnerTexts();
      assert.equal(rows.length, 3);
      assert.ok(rows.some((row) => row.startsWith('s-001\n') && row.includes('front view (1).jpg')), rows.join('|'));
      assert.match(rows.find((row) => row.includes('notes.txt')), /kind of file cannot be used/);
      const { results } = await server.post('/recognize', {}, sample('biden'));
      assert.equal(results[0].label, 's-002');
      page.check();
      await page.context().close();
    } finally {
      await server.remove();
    }
  });
}

test('a wrong access key is told; with the right one, set on the page, it goes on where it was', async () => {
  const server = await Server.start({ key: 'right-key' });
  try {
    const page = await visit(browser, `${server.origin}/enrol`, { settings: { key: 'wrong-key' }, expected: /401/ });
    await page.getByLabel('Student id').fill('obama');
    await page.locator('#files').setInputFiles(sample('obama'));
    const notice = page.getByRole('alert').filter({ hasText: 'The access key is missing or wrong.' });
    await notice.getByRole('button', { name: 'Settings' }).click();
    const dialog = page.getByRole('dialog');
    await accessible(page, 'settings');
    await dialog.getByText('not known now').waitFor();
    await dialog.getByLabel('Access key').fill('right-key');
    await dialog.getByLabel('Class').fill('7A');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await summary(page, '1 of 1 pictures done: 1 saved, 0 refused');
    assert.equal(await page.locator('#notice').isVisible(), false);

    // The settings hold for every page of this browser.
    await page.getByRole('link', { name: 'Live' }).click();
    await page.locator('#connection').filter({ hasText: /^Connected$/ }).waitFor();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.locator('output').filter({ hasText: '0.45' }).waitFor();
    assert.equal(await dialog.getByLabel('Class').inputValue(), '7A');
    await page.keyboard.press('Escape');
    assert.equal(await dialog.isVisible(), false);
    page.check();
    await page.context().close();
  } finally {
    await server.remove();
  }
});

test('the kiosk tells a wrong access key too, and goes on with the right one', async () => {
  const server = await Server.start({ key: 'right-key' });
  try {
    const page = await visit(browser, `${server.origin}/`, { expected: /401/ });
    await page.getByRole('alert').getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('Access key').fill('right-key');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('.card.unknown').waitFor();
    page.check();
    await page.context().close();
  } finally {
    await server.remove();
  }
});

test('it works by the keyboard alone', async () => {
  const page = await visit(browser, `${server.origin}/enrol`);
  const reached = new Set();
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    const { id, text, outlined } = await page.evaluate(() => {
      const { id, textContent, tagName } = document.activeElement;
      const outlined = tagName === 'BODY' || getComputedStyle(document.activeElement).outlineStyle !== 'none';
      return { id, text: textContent, outlined };
    });
    assert.ok(outlined, `${id || text} shows that it has the focus`);
    reached.add(id || text);
  }
  for (const part of ['Kiosk', 'Live', 'settings', 'student', 'camera', 'choose', 'choose-folder']) assert.ok(reached.has(part), `${part} of ${[...reached]}`);
  await page.locator('#camera').focus();
  await page.keyboard.press('Enter');
  await until('the camera is on', () => page.locator('#shoot').isEnabled());
  await page.getByLabel('Student id').fill('by-keyboard');
  await page.locator('#shoot').focus();
  await page.keyboard.press('Space');
  await summary(page, '1 of 1 pictures done: 1 saved, 0 refused');
  page.check();
  await page.context().close();
});

test('it fits a phone, a tablet and a desktop, in both languages', async () => {
  for (const [name, viewport] of Object.entries(SIZES)) {
    for (const [locale, title] of [
      ['en-GB', 'Enrol students'],
      ['id-ID', 'Pendaftaran siswa'],
    ]) {
      const page = await visit(browser, `${server.origin}/enrol`, { viewport, locale });
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: nothing is cut off at the side`);
      await accessible(page, `enrol, ${name}, ${locale}`);
      await page.screenshot({ path: `${OUT}/enrol-${name}-${locale}.png`, fullPage: true });
      page.check();
      await page.context().close();
    }
  }
});

test('a picture that is too large for the service is sent smaller', async () => {
  const server = await Server.start();
  try {
    const page = await visit(browser, `${server.origin}/enrol`, { expected: /status of 413/ });
    const sizes = [];
    await page.route('**/enroll', async (route) => {
      const size = route.request().postDataBuffer().length;
      sizes.push(size);
      if (sizes.length > 1) return route.continue();
      const msg = 'the image is larger than 4 MiB';
      return route.fulfill({ status: 413, json: { ok: false, code: 'image_too_large', msg } });
    });
    // What a camera of many pixels makes: the same picture, and much more.
    const large = Buffer.concat([readFileSync(sample('obama')), Buffer.alloc(5 << 20)]);
    await page.getByLabel('Student id').fill('obama');
    await page.locator('#files').setInputFiles({ name: 'large.jpg', mimeType: 'image/jpeg', buffer: large });
    await summary(page, '1 of 1 pictures done: 1 saved, 0 refused');
    assert.ok(sizes.length === 2 && sizes[1] < sizes[0] / 4, `${sizes} bytes`);
    const { results } = await server.post('/recognize', {}, sample('obama2'));
    assert.equal(results[0].label, 'obama');
    page.check();
    await page.context().close();
  } finally {
    await server.remove();
  }
});

test('a picture at which the service fails does not hold up the others', async () => {
  const server = await Server.start();
  try {
    const page = await visit(browser, `${server.origin}/enrol`, { expected: /status of 500/ });
    let faults = 0;
    await page.route('**/enroll', async (route) => {
      if (!route.request().postDataBuffer().includes('poison')) return route.continue();
      faults += 1;
      return route.fulfill({ status: 500, json: { ok: false, code: 'internal', msg: 'a fault' } });
    });
    await page.getByLabel('Student id').fill('obama');
    const poison = { name: 'poison.jpg', mimeType: 'image/jpeg', buffer: readFileSync(sample('biden')) };
    await page.locator('#files').setInputFiles([poison, { ...poison, name: 'good.jpg', buffer: readFileSync(sample('obama')) }]);
    await summary(page, '2 of 2 pictures done: 1 saved, 1 refused');
    assert.equal(faults, 3);
    await page.getByText('The server failed at this picture').waitFor();
    page.check();
    await page.context().close();
  } finally {
    await server.remove();
  }
});
