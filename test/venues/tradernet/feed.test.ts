import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import { commandOf, DEMO, goLive, PROD, pass, row, startLive, startSource, type World } from './source.js';

let world: World | undefined;
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
});

describe('from nothing to a live source', () => {
  test('a login, a proof and a list are told in this order, and each only when the venue has said it', async () => {
    world = startSource();
    world.rows = [row(1), row(2)];
    expect(world.told()).toEqual(['login session.opening']);
    await settle();
    expect(world.told()).toEqual(['- link.up http#1']);
    world.network.last.open();
    expect(world.told()).toEqual(['- link.up ws#1']);
    expect(world.network.last.sent).toEqual([]);
    world.network.last.receive(PROD);
    expect(world.told()).toEqual(['login session.opened']);
    expect(world.network.last.sent).toEqual(['["sessions"]']);
    world.network.last.receive(['sessions', [row(1), row(2)], 'wstm=2026-11-23T08:00:00.100Z']);
    expect(world.told()).toEqual(['1 session.opened', '2 session.opened']);
    await settle();
    expect(world.told()).toEqual([]);
    expect(world.http.requests.map(commandOf)).toEqual(['check-login-password', 'getSecuritySessions']);
  });

  test('the SID goes into the query of the socket, and into nothing that is told', async () => {
    world = await startLive({}, [row(1)]);
    expect(new URL(world.network.last.url).searchParams.get('SID')).toBe('sid-of-login-1');
    const said = JSON.stringify([world.facts, [...world.memory]]);
    expect(said).not.toContain('sid-of-login');
    expect(said).not.toContain('correct horse');
    expect(world.facts.find(({ type }) => type === 'link.up')?.data).toMatchObject({ url: 'https://tradernet.com/' });
  });

  test('a socket without userData within 10 s proves nothing and is opened again', async () => {
    world = startSource();
    await settle();
    world.network.last.open();
    world.network.last.receive(['keepAlive', []]);
    world.told();
    await world.clock.advance(9_999);
    expect(world.told()).toEqual([]);
    await world.clock.advance(2_000);
    expect(world.told().slice(0, 3)).toEqual([
      '- link.down ws#1 1000 relay',
      '- link.retrying ws#1',
      'login session.opened',
    ]);
    await world.clock.advance(30_000);
    expect(world.network.sockets.length).toBeGreaterThan(1);
    expect(world.network.live).toBe(1);
  });

  test('where no list follows `sessions`, `session` is tried once, and then the refusal is told', async () => {
    world = startSource();
    await settle();
    world.network.last.open();
    world.network.last.receive(PROD);
    await settle();
    world.told();
    await world.clock.advance(10_000);
    expect(world.network.last.sent).toEqual(['["sessions"]', '["session"]']);
    expect(world.told()).toEqual([]);
    await world.clock.advance(10_000);
    expect(world.told()).toEqual(['- source.fault channel_refused']);
    expect(world.network.last.sent).toHaveLength(2);
  });

  test('the word that was answered is the first one of the next connection', async () => {
    world = startSource();
    await settle();
    world.network.last.open();
    world.network.last.receive(PROD);
    await world.clock.advance(10_000);
    world.network.last.receive(['sessions', []]);
    world.network.last.end();
    await world.clock.advance(5_000);
    world.network.last.open();
    world.network.last.receive(PROD);
    expect(world.network.last.sent).toEqual(['["session"]']);
  });
});

describe('three states: transport, login, security session', () => {
  test('a socket that drops makes nothing end, and nothing stale while HTTP is answered', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    world.network.last.end();
    await settle();
    expect(world.told()).toEqual(['- link.down ws#1 1006 network', '- link.retrying ws#1']);
    await world.clock.advance(5_000);
    await goLive(world);
    expect(world.told()).toEqual(['- link.up ws#2']);
    expect(world.network.live).toBe(1);
  });

  test('with socket and HTTP both down, everything is said again once it is seen again', async () => {
    let down = false;
    world = await startLive({}, [row(1)], { answer: () => (down ? 'unreachable' : undefined) });
    world.told();
    down = true;
    world.network.last.end();
    await world.clock.advance(60_000);
    expect(world.told().filter((line) => !line.includes('retrying'))).toEqual([
      '- link.down ws#1 1006 network',
      '- link.down http#1 1006 network',
    ]);
    down = false;
    await goLive(world);
    expect(world.told()).toEqual([
      '- link.up ws#2',
      'login session.restored',
      '1 session.restored',
      '- link.up http#2',
    ]);
  });

  test('one failed poll is no outage', async () => {
    let down = false;
    world = await startLive({}, [row(1)], { answer: () => (down ? 'timeout' : undefined) });
    world.told();
    await pass(world, 50_000);
    down = true;
    await pass(world, 20_000);
    down = false;
    await pass(world, 60_000);
    expect(world.told()).toEqual([]);
  });

  test('demo userData is a lost login: the relay logs in anew, and says what it sees again', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    world.network.last.receive(DEMO);
    await settle();
    expect(world.told()).toEqual(['login session.lost demo', '- link.down ws#1 1000 relay']);
    expect(world.logins()).toBe(2);
    expect(world.network.live).toBe(1);
    expect(new URL(world.network.last.url).searchParams.get('SID')).toBe('sid-of-login-2');
    await goLive(world);
    expect(world.told()).toEqual(['- link.up ws#2', 'login session.opened', '1 session.restored']);
  });

  test('a list on a socket whose login is not proved is not ours', async () => {
    world = await startLive({}, [row(1)]);
    world.network.last.end();
    await world.clock.advance(5_000);
    world.told();
    world.network.last.open();
    world.network.last.receive(['sessions', []]);
    expect(world.told()).toEqual(['- link.up ws#2']);
  });

  test('frames of an older generation are dropped', async () => {
    world = await startLive({}, [row(1)]);
    const first = world.network.last;
    void world.command('reconnect').catch(() => undefined);
    world.told();
    first.receive(['sessions', []]);
    await settle();
    expect(world.told()).toEqual(['- link.down ws#1 1000 relay']);
    expect(world.network.sockets).toHaveLength(2);
  });
});

describe('silence', () => {
  test('a silent socket is asked before it is ended, and its answer keeps it', async () => {
    world = await startLive();
    const socket = world.network.last;
    world.told();
    await world.clock.advance(30_000);
    expect(socket.pings).toBe(1);
    socket.pong();
    await world.clock.advance(29_000);
    expect(socket.ended).toBe(false);
    expect(world.told()).toEqual([]);
  });

  test('no answer within 10 s is told as missed, the socket is ended, and its life is told on the next one', async () => {
    world = await startLive();
    const socket = world.network.last;
    world.told();
    await world.clock.advance(40_000);
    expect(socket.closedBy).toBe('terminate');
    expect(world.told()).toEqual(['login heartbeat.missed', '- link.down ws#1 1006 relay', '- link.retrying ws#1']);
    await world.clock.advance(2_000);
    await goLive(world);
    expect(world.told()).toEqual(['- link.up ws#2', 'login heartbeat.resumed']);
  });

  test('keepAlive is a pulse with the time of the venue', async () => {
    world = await startLive();
    world.told();
    world.network.last.receive(['keepAlive', [], 'wstm=2026-11-23T08:01:00.000Z']);
    expect(world.told()).toEqual(['login heartbeat.pulse']);
    expect(world.facts.at(-1)?.data).toEqual({ venueTime: '2026-11-23T08:01:00.000Z' });
  });
});

describe('lists', () => {
  test('a list without a row closes it, a later end renews it, a new row opens it', async () => {
    world = await startLive({}, [row(1), row(2)]);
    world.told();
    const later = row(2, { expire_datetime: '2026-11-24T09:00:00', expire: 90_000 });
    world.network.last.receive(['sessions', [later, row(3)]]);
    expect(world.told()).toEqual([
      '1 session.closed venue',
      '2 session.renewed observed 2026-11-24T09:00:00.000Z',
      '3 session.opened',
    ]);
  });

  test('what opened and closed while the relay was down is told after a restart, before anything that is live', async () => {
    const before = await startLive({}, [row(1), row(2)]);
    await before.venue.stop({ orders: 'leave' });
    world = await startLive({}, [row(2), row(3)], { memory: before.memory });
    expect(world.told()).toEqual([
      '- link.up http#1',
      '- link.up ws#1',
      'login session.opened',
      '1 session.closed venue',
      '2 session.restored',
      '3 session.opened',
    ]);
    const closed = world.facts.find(({ type }) => type === 'session.closed');
    expect(closed?.key).toBe('closed:1:2026-11-23T07:00:00.000Z');
  });

  test('the poll finds what the socket does not say, and asks whether the SID lives before it believes an end', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    world.rows = [row(2)];
    await pass(world, 70_000);
    expect(world.told()).toEqual(['1 session.closed venue', '2 session.opened']);
    expect(world.http.requests.map(commandOf)).toContain('getSidInfo');
  });

  test('an empty list over HTTP under a dead SID closes nothing: it is the login that is lost', async () => {
    let dead = false;
    world = await startLive({}, [row(1)], {
      answer: (request) =>
        dead && commandOf(request) === 'getSidInfo' ? { json: { SID: null, user_id: null } } : undefined,
    });
    world.told();
    dead = true;
    world.rows = [];
    await pass(world, 70_000);
    expect(world.told()).toEqual(['login session.lost sid_refused', '- link.down ws#1 1000 relay']);
  });

  test('an HTTP list that was under way when the socket said a newer one changes nothing', async () => {
    let release: (() => void) | undefined;
    world = await startLive({}, [row(1)]);
    const answer = world.http.answer;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    world.http.answer = async (request) => {
      if (commandOf(request) === 'getSecuritySessions') {
        await held;
        return { json: [row(1)] };
      }
      return answer(request);
    };
    await pass(world, 70_000);
    world.told();
    world.network.last.receive(['sessions', [row(1), row(2)]]);
    release?.();
    await settle();
    expect(world.told()).toEqual(['2 session.opened']);
  });
});

describe('carriers that are up and show nothing', () => {
  test('a list that HTTP refuses twice while the socket is gone leaves the sessions stale, until they are seen', async () => {
    let refuse = false;
    world = await startLive({}, [row(1)], {
      answer: (request) =>
        refuse && commandOf(request) === 'getSecuritySessions'
          ? { json: { errMsg: 'Access denied', code: 12 } }
          : undefined,
    });
    world.told();
    refuse = true;
    world.network.last.end();
    await settle();
    expect(world.told()).toEqual([
      '- link.down ws#1 1006 network',
      '- link.retrying ws#1',
      '- source.fault channel_refused',
    ]);
    await world.clock.advance(70_000);
    expect(world.told()).toEqual(['login session.stale', '1 session.stale']);
    await goLive(world);
    expect(world.told()).toEqual(['- link.up ws#2', 'login session.restored', '1 session.restored']);
  });

  test('a limit that outlasts two polls while the socket is gone is told as the reason', async () => {
    let limited = false;
    world = await startLive({}, [row(1)], {
      answer: () => (limited ? { status: 429, headers: { 'retry-after': '600' }, json: { code: 429 } } : undefined),
    });
    world.told();
    limited = true;
    world.network.last.end();
    await world.clock.advance(70_000);
    expect(world.told().filter((line) => !line.startsWith('-'))).toEqual(['login session.stale', '1 session.stale']);
    expect(world.facts.at(-1)?.data).toEqual({ reason: 'throttled' });
  });

  test('a socket that proves the login and never says a list does not vouch for sessions', async () => {
    let down = false;
    world = startSource({}, { answer: () => (down ? 'unreachable' : undefined) });
    world.rows = [row(1)];
    await settle();
    world.network.last.open();
    world.network.last.receive(PROD);
    await pass(world, 30_000);
    expect(world.told().slice(-2)).toEqual(['1 session.opened', '- source.fault channel_refused']);
    down = true;
    await pass(world, 60_000);
    expect(world.told()).toEqual(['- link.down http#1 1006 network', '1 session.stale']);
  });
});

describe('ends by time', () => {
  test('a session is told as expiring and expired by the relay itself: the venue is not known to say it', async () => {
    world = await startLive({ pollSeconds: 100_000 }, [
      row(1, { expire_datetime: '2026-11-23T08:05:00', expire: 300 }),
    ]);
    world.told();
    await pass(world, 239_999);
    expect(world.told()).toEqual([]);
    await pass(world, 1);
    expect(world.told()).toEqual(['1 session.expiring 60000']);
    await pass(world, 60_000);
    expect(world.told()).toEqual(['1 session.expired']);
    world.network.last.receive(['sessions', []]);
    expect(world.told()).toEqual([]);
  });
});

describe('faults of the venue', () => {
  test('garbage and unknown frames are told once a kind, and the stream goes on', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    const socket = world.network.last;
    for (const frame of ['{not json', '{not json', '{"an":"object"}', '[]', '[42]']) socket.receive(frame);
    socket.receive(['newsletter', {}]);
    socket.receive(['newsletter', {}]);
    socket.receive(['q', { c: 'AAPL.US' }]);
    socket.receive(['error', { code: 500 }]);
    socket.receive(['sessions', null]);
    expect(world.told()).toEqual([
      '- source.fault bad_frame',
      '- source.fault bad_frame',
      '- source.fault unknown_frame',
      '- source.fault unknown_frame',
      '- source.fault bad_frame',
    ]);
    socket.receive(['sessions', [row(1), row(2, { safety_type_id: 77 })]]);
    expect(world.told()).toEqual(['- source.fault unknown_value', '2 session.opened']);
  });

  test('403 at the upgrade is a refused client: no login is lost, and it is not asked more than once a minute', async () => {
    world = startSource();
    await settle();
    world.told();
    world.network.last.end({ code: 0, refused: { status: 403, headers: {} } });
    await settle();
    const [down, ...rest] = world.told();
    expect(down).toBe('- link.down ws#1 0 venue');
    expect(rest).toEqual(['- link.retrying ws#1', 'login session.opened']);
    expect(world.facts.find(({ type }) => type === 'link.down')?.data).toMatchObject({
      reason: expect.stringContaining('set headers'),
    });
    await world.clock.advance(59_000);
    expect(world.network.sockets).toHaveLength(1);
    await world.clock.advance(2_000);
    expect(world.network.sockets).toHaveLength(2);
    expect(world.logins()).toBe(1);
  });

  test('429 is told with its end, nothing is sent meanwhile, and its end is told too', async () => {
    let limited = false;
    world = await startLive({}, [row(1)], {
      answer: () =>
        limited
          ? {
              status: 429,
              headers: { 'retry-after': '120' },
              json: { errMsg: 'Your request limit has been exceeded. Please try again later', code: 429 },
            }
          : undefined,
    });
    world.told();
    limited = true;
    await expect(world.command('refresh_sessions')).rejects.toMatchObject({ code: 'rate_limited' });
    const sent = world.http.requests.length;
    expect(world.told()).toEqual(['- source.throttled']);
    await expect(world.command('refresh_sessions')).rejects.toMatchObject({
      code: 'rate_limited',
      data: { retryAfterMs: 120_000 },
    });
    limited = false;
    await pass(world, 119_999);
    expect(world.http.requests).toHaveLength(sent);
    expect(world.told()).toEqual([]);
    await pass(world, 1);
    expect(world.told()).toEqual(['- source.unthrottled']);
  });
});

describe('logins that fail', () => {
  test('credentials that never worked: a person is asked, once, and nothing is tried again', async () => {
    world = startSource(
      {},
      {
        answer: (request) =>
          commandOf(request) === 'check-login-password'
            ? { json: { error: 'Incorrect login or password' } }
            : undefined,
      },
    );
    await settle();
    expect(world.told()).toEqual([
      'login session.opening',
      '- link.up http#1',
      'login session.attention check_credentials',
    ]);
    await world.clock.advance(7_200_000);
    expect(world.told()).toEqual([]);
    expect(world.logins()).toBe(1);
    expect(world.network.sockets).toEqual([]);
  });

  test('credentials that have worked are tried again after 5, 15 and 30 minutes, and then no more', async () => {
    let refuse = false;
    world = await startLive({}, [], {
      answer: (request) =>
        refuse && commandOf(request) === 'check-login-password'
          ? { json: { error: 'Access denied', code: 12 } }
          : undefined,
    });
    world.told();
    refuse = true;
    world.network.last.receive(DEMO);
    await settle();
    expect(world.told()).toEqual([
      'login session.lost demo',
      '- link.down ws#1 1000 relay',
      'login session.attention check_credentials',
    ]);
    const counts: number[] = [];
    for (const minutes of [5, 15, 30, 120]) {
      await world.clock.advance(minutes * 60_000);
      counts.push(world.logins());
    }
    expect(counts).toEqual([3, 4, 5, 5]);
    expect(world.told()).toEqual([]);
  });

  test('`reconnect` starts a source again that waits for a person', async () => {
    let refuse = true;
    world = startSource(
      {},
      {
        answer: (request) =>
          refuse && commandOf(request) === 'check-login-password' ? { json: { error: 'Incorrect login' } } : undefined,
      },
    );
    await settle();
    world.told();
    refuse = false;
    const done = world.command('reconnect');
    await settle();
    await goLive(world);
    await expect(done).resolves.toEqual({ generation: 1 });
    expect(world.told()).toEqual(['- link.up ws#1', 'login session.opened']);
  });

  test('a login that keeps being dropped is repeated three times in 15 minutes, and then a person is asked', async () => {
    world = await startLive();
    world.told();
    for (let round = 0; round < 4; round++) {
      world.network.last.receive(DEMO);
      await world.clock.advance(70_000);
      if (!world.network.last.ended) await goLive(world);
    }
    expect(world.logins()).toBe(4);
    expect(world.told().filter((line) => line.startsWith('login'))).toEqual([
      'login session.lost demo',
      'login session.opened',
      'login session.lost demo',
      'login session.opened',
      'login session.lost demo',
      'login session.opened',
      'login session.lost demo',
      'login session.attention login',
    ]);
  });

  test('a code that a person must type is asked for once: each login would send another', async () => {
    world = startSource(
      {},
      {
        answer: (request) =>
          commandOf(request) === 'check-login-password' ? { json: { mode: 'sms', auth_code_id: 7 } } : undefined,
      },
    );
    await settle();
    expect(world.told()).toEqual(['login session.opening', '- link.up http#1', 'login session.attention two_factor']);
    await world.clock.advance(7_200_000);
    expect(world.logins()).toBe(1);
  });

  test('a venue that cannot be reached is tried again with back-off, and told as a link', async () => {
    let down = true;
    world = startSource({}, { answer: () => (down ? 'unreachable' : undefined) });
    await settle();
    expect(world.told()).toEqual(['login session.opening', '- link.down http#1 0 network', '- link.retrying http#1']);
    down = false;
    await world.clock.advance(5_000);
    await goLive(world);
    expect(world.told()).toEqual(['- link.up http#2', '- link.up ws#1', 'login session.opened']);
  });

  test('a SID that is configured and refused asks for a person and is not tried again', async () => {
    world = startSource({ credentials: { sid: 'given-by-hand' } });
    await settle();
    world.network.last.open();
    world.network.last.receive(DEMO);
    await settle();
    expect(world.told()).toEqual([
      'login session.opening',
      '- link.up ws#1',
      'login session.attention check_credentials',
      '- link.down ws#1 1000 relay',
    ]);
    await world.clock.advance(7_200_000);
    expect(world.network.sockets).toHaveLength(1);
    expect(JSON.stringify(world.facts)).not.toContain('given-by-hand');
  });

  test('prod where the source is configured as demo is no account to go on with', async () => {
    world = startSource({ environment: 'demo' });
    await settle();
    world.network.last.open();
    world.network.last.receive(PROD);
    await settle();
    expect(world.told().slice(-2)).toEqual([
      'login session.attention check_credentials',
      '- link.down ws#1 1000 relay',
    ]);
    expect(world.network.live).toBe(0);
  });

  test('a demo account that is configured as one is proved by the login that the socket names', async () => {
    world = startSource({ environment: 'demo' });
    await settle();
    world.network.last.open();
    world.network.last.receive(['userData', { isDemo: true, mode: 'demo', clientLogin: 'desk@example.org' }]);
    expect(world.told().at(-1)).toBe('login session.opened');
    expect(world.facts.at(-1)?.data).toMatchObject({ environment: 'demo' });
  });
});

describe('API keys', () => {
  const credentials = { publicKey: 'public-key', secretKey: 'secret-key' };

  test('open a signed socket and sign every request, and the secret goes nowhere', async () => {
    world = await startLive({ credentials }, [row(1)]);
    expect(world.told()).toEqual([
      'login session.opening',
      '- link.up ws#1',
      'login session.opened',
      '1 session.opened',
      '- link.up http#1',
    ]);
    expect([...new URL(world.network.last.url).searchParams.keys()]).toEqual([
      'X-NtApi-PublicKey',
      'X-NtApi-Timestamp',
      'X-NtApi-Sig',
    ]);
    expect(world.http.requests.map(commandOf)).toEqual(['getSecuritySessions']);
    expect(JSON.stringify([world.http.requests, world.network.last.url, world.facts])).not.toContain('secret-key');
  });

  test('a key that the venue refuses after it has worked is a lost login, tried again late', async () => {
    let refuse = false;
    world = await startLive({ credentials }, [row(1)], {
      answer: () => (refuse ? { json: { error: 'Invalid api key provided', code: 4 } } : undefined),
    });
    world.told();
    refuse = true;
    await pass(world, 70_000);
    expect(world.told()).toEqual([
      'login session.lost key_refused',
      'login session.attention login',
      '- link.down ws#1 1000 relay',
    ]);
    refuse = false;
    await pass(world, 300_000);
    await goLive(world, [row(1, { expire: 82_430 })]);
    expect(world.told()).toEqual(['- link.up ws#2', 'login session.restored', '1 session.restored']);
  });
});

describe('commands', () => {
  test('`refresh_sessions` reads the list now and takes it in', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    world.rows = [row(1), row(2)];
    const result = await world.command('refresh_sessions');
    expect(result).toMatchObject({ sessions: [{ id: '1' }, { id: '2', expiresAt: '2026-11-24T07:00:00.000Z' }] });
    expect(world.told()).toEqual(['2 session.opened']);
  });

  test('`sid_info` says whether the login lives, and never the SID', async () => {
    world = await startLive();
    await expect(world.command('sid_info')).resolves.toEqual({ alive: true, userId: 42 });
    expect(world.told().at(-1)).toBe('login session.opened');
  });

  test('`login` gets a new SID, connects with it, and is told as a renewal', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    const done = world.command('login');
    await settle();
    expect(world.told()).toEqual(['- link.down ws#1 1000 relay']);
    await goLive(world);
    await expect(done).resolves.toEqual({ generation: 2 });
    expect(world.told()).toEqual(['- link.up ws#2', 'login session.renewed reauthenticate']);
    expect(new URL(world.network.last.url).searchParams.get('SID')).toBe('sid-of-login-2');
    expect(world.network.live).toBe(1);
  });

  test('the sixth login of a minute is not sent', async () => {
    world = await startLive();
    for (let i = 0; i < 4; i++) {
      await pass(world, 5_000); // what the relay's own budget needs
      const done = world.command('login');
      await settle();
      await goLive(world);
      await done;
    }
    await expect(world.command('login')).rejects.toMatchObject({ code: 'rate_limited' });
    expect(world.logins()).toBe(5);
  });

  test('`login` without a password is a conflict', async () => {
    world = startSource({ credentials: { sid: 'given-by-hand' } });
    await expect(world.command('login')).rejects.toMatchObject({ code: 'conflict' });
  });

  test('`reconnect` that fails says so', async () => {
    world = await startLive();
    const done = world.command('reconnect');
    await settle();
    world.network.last.end({ code: 0, error: 'ECONNREFUSED' });
    await expect(done).rejects.toMatchObject({ code: 'source_unavailable' });
  });

  test('reads beyond the budget are refused and not sent', async () => {
    world = await startLive();
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => world?.command('sid_info')));
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(world.http.requests.length).toBeLessThan(8);
  });
});

describe('the end', () => {
  test('stop ends the transport, tells it, leaves the login, and leaves no timer', async () => {
    world = await startLive({}, [row(1)]);
    world.told();
    let completed = false;
    world.venue.facts$.subscribe({ complete: () => (completed = true) });
    await world.venue.stop({ orders: 'leave' });
    expect(world.told()).toEqual(['- link.down ws#1 1000 relay', '- link.down http#1 1000 relay']);
    expect(completed).toBe(true);
    expect(world.network.live).toBe(0);
    expect(world.http.closed).toBe(true);
    expect(world.clock.timers).toBe(0);
    expect(world.http.requests.map(commandOf)).not.toContain('logout');
    await world.venue.stop({ orders: 'cancel' });
    await expect(world.command('sid_info')).rejects.toMatchObject({ code: 'closed' });
  });

  test('stop in the middle of a login sends nothing more', async () => {
    world = startSource({}, { answer: () => 'never' });
    await settle();
    await world.venue.stop({ orders: 'leave' });
    expect(world.network.sockets).toEqual([]);
    expect(world.clock.timers).toBe(0);
  });
});
