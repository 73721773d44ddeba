// A device on the network: an address that is not the server's own machine's, in a network namespace of its own.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { OUT, Server, accessible, launch, sample, videoOf, visit } from './harness.js';

const NAMESPACE = `attendance-${process.pid}`;
const HOST = '10.77.0.1';
const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'inherit', 'inherit'] });

let browser;
before(async () => {
  const video = await videoOf('obama');
  sample('obama');
  ip('netns', 'add', NAMESPACE);
  ip('-n', NAMESPACE, 'link', 'set', 'lo', 'up');
  ip('-n', NAMESPACE, 'address', 'add', `${HOST}/32`, 'dev', 'lo');
  browser = await launch({ video, namespace: NAMESPACE });
});
after(async () => {
  await browser?.close();
  ip('netns', 'delete', NAMESPACE);
});

test('over plain HTTP the page says that it may not use the camera, and which address may', async () => {
  const server = await Server.start({ host: HOST, namespace: NAMESPACE, args: ['--open'] });
  try {
    for (const [locale, words] of [
      ['en-GB', 'This address cannot use the camera'],
      ['id-ID', 'Alamat ini tidak dapat memakai kamera'],
    ]) {
      const page = await visit(browser, `${server.origin}/`, { locale });
      await page.getByRole('heading', { name: words }).waitFor();
      assert.equal(await page.evaluate(() => isSecureContext), false);
      const address = server.origin.replace('http:', 'https:');
      assert.equal(await page.getByRole('link', { name: address }).getAttribute('href'), `${address}/`);
      assert.match(await page.locator('#problem').innerText(), /attendance serve --tls/);
      await accessible(page, `insecure kiosk, ${locale}`);
      await page.screenshot({ path: `${OUT}/insecure-${locale}.png` });
      page.check();
      await page.context().close();
    }
    const enrol = await visit(browser, `${server.origin}/enrol`);
    await enrol.getByRole('button', { name: 'Turn the camera on' }).click();
    await enrol.getByRole('heading', { name: 'This address cannot use the camera' }).waitFor();
    enrol.check();
    await enrol.context().close();
  } finally {
    await server.remove();
  }
});

test('with --tls the camera works at that address, also from the plain one, and the live wall is connected', async () => {
  const server = await Server.start({ host: HOST, namespace: NAMESPACE, tls: true, args: ['--open'], webhook: false });
  try {
    const options = { ignoreHTTPSErrors: true };
    const page = await visit(browser, `${server.origin}/enrol`, options);
    assert.equal(await page.evaluate(() => isSecureContext), true);
    await page.getByLabel('Student id').fill('obama');
    await page.locator('#files').setInputFiles(sample('obama'));
    await page.locator('.saved').waitFor({ timeout: 30_000 });
    page.check();

    const plain = server.origin.replace('https:', 'http:');
    const kiosk = await visit(browser, `${plain}/`, options);
    assert.equal(kiosk.url(), `${server.origin}/`);
    await kiosk.locator('.face.known').waitFor({ timeout: 30_000 });
    kiosk.check();
    await kiosk.context().close();

    const live = await visit(browser, `${server.origin}/live`, options);
    await live.locator('#connection').filter({ hasText: /^Connected$/ }).waitFor();
    await live.locator('#feed tr.recognized').first().waitFor();
    live.check();

    // Browsers keep their connections open, which must not keep the server from stopping.
    const asked = performance.now();
    await server.stop();
    assert.ok(performance.now() - asked < 5000, 'it stops at once');
    await live.locator('#connection').filter({ hasText: /^Not connected$/ }).waitFor();
    await live.context().close();
    await page.context().close();
  } finally {
    await server.remove();
  }
});

test('a browser that is not told to trust the certificate refuses it', async () => {
  const server = await Server.start({ host: HOST, namespace: NAMESPACE, tls: true, args: ['--open'], webhook: false });
  try {
    await assert.rejects(visit(browser, `${server.origin}/`), /ERR_CERT_AUTHORITY_INVALID/);
  } finally {
    await server.remove();
  }
});
