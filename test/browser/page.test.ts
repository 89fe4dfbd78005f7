import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, journaled, startDesk } from '../support/desk.js';
import { TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { sessionRow, sessions, until, untilLive, untilRow, untilWholeTimeline } from './screen.js';

/** The built page in a browser, served by a relay with every venue behind it. */
vi.setConfig({ testTimeout: 60_000 });
afterEach(async () => {
  await closePages();
  await closeDesks();
});
afterAll(quitChromium);

const page$ = z.object({ sessions: z.array(z.looseObject({ key: z.string(), kind: z.string() })) });

describeInChromium.each(TRANSPORTS)('the page over %s', (transport) => {
  test('shows every session of the demo, all that was journaled, and complains of nothing', async () => {
    const desk = await startDesk({ simulated: ['deribit', 'tradernet', 'ibkr', 'snaptrade'], transport });
    const page = await openPage(desk.url, { width: 1600, height: 1200 });
    await untilLive(page);
    const shownFirst = await page.title();
    expect(shownFirst).toContain('session-relay');
    await until(async () => (await journaled(desk.url)).filter(({ type }) => type === 'session.opened').length).toBe(
      10,
    );
    const { sessions: states } = page$.parse(await (await fetch(`${desk.url}/v1/sessions`)).json());
    const keys = states.filter(({ kind }) => kind !== 'source').map(({ key }) => key);
    expect(keys).toHaveLength(10);
    for (const key of keys) await untilRow(page, key, 'Safe');
    await page.getByText('10 sessions', { exact: true }).waitFor();
    await untilWholeTimeline(page, desk.url);
  });

  test('may run what its relay serves and nothing else: its policy holds', async () => {
    const { url } = await startDesk({ simulated: ['deribit'], transport });
    const page = await openPage(url, {
      allow: /Content Security Policy|TrustedHTML|trusted|request to http:\/\/localhost:1\//i,
    });
    await untilLive(page);
    await page.evaluate(`
      globalThis.said = [];
      addEventListener('securitypolicyviolation', ({ effectiveDirective }) => said.push(effectiveDirective));
      const attempt = (act) => { try { act(); } catch {} };
      const add = (name, fill) => { const element = document.createElement(name); fill(element); document.body.append(element); };
      attempt(() => add('script', (script) => { script.textContent = 'globalThis.ran = true'; }));
      attempt(() => document.body.insertAdjacentHTML('beforeend', '<b id=markup>text</b>'));
      attempt(() => add('style', (style) => { style.textContent = 'body { display: none }'; }));
      attempt(() => add('img', (image) => { image.src = 'http://localhost:1/x.png'; }));
      attempt(() => add('iframe', (frame) => { frame.src = '/'; }));
      attempt(() => new WebSocket('ws://localhost:1/'));
      fetch('http://localhost:1/').catch(() => undefined);
    `);
    await until(async () => new Set(z.array(z.string()).parse(await page.evaluate('said')))).toEqual(
      new Set(['connect-src', 'frame-src', 'img-src', 'require-trusted-types-for', 'style-src-elem']),
    );
    const came =
      "[globalThis.ran === true, document.getElementById('markup') !== null, getComputedStyle(document.body).display]";
    expect(await page.evaluate(came)).toEqual([false, false, expect.not.stringMatching('none')]);
  });

  test('its letters are drawn: the machine has a font', async () => {
    const { url } = await startDesk({ transport });
    const page = await openPage(url);
    const drawn = await page.evaluate(`['A', 'g', '▣'].map((letter) => {
      const canvas = document.createElement('canvas');
      const context = canvas.getContext('2d');
      context.font = '40px ' + getComputedStyle(document.body).fontFamily;
      context.fillText(letter, 10, 60);
      return [...context.getImageData(0, 0, 80, 80).data].join();
    })`);
    expect(new Set(z.array(z.string()).parse(drawn)).size).toBe(3);
  });

  test('text of a venue is text: markup in it stays what it is', async () => {
    const venue = createScriptedVenue();
    const { url } = await startDesk({ venues: [venue], transport });
    const hostile = '<img src=x onerror=alert(1)>';
    venue.open(hostile);
    const page = await openPage(url);
    await sessions(page).getByText(hostile).first().waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await sessionRow(page, 'nobody').count()).toBe(0);
  });
});
