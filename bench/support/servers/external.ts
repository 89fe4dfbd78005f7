import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createFrameSource } from './frame-source.js';
import type { BenchServer } from './server.js';

/** Servers that are no part of this package, used where they are installed; nothing is installed for the bench. */
export const EXTERNALS = ['nats-server', 'mosquitto', 'nchan'] as const;
export type External = (typeof EXTERNALS)[number];

/** Where Debian's packages put what they bring, beside the path. */
const FOLDERS = ['/usr/sbin', '/usr/local/sbin'];
const NCHAN_MODULES = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules'];
const READY_MS = 10_000;
const NS_PER_US = 1_000;

/** The program, where it is installed. */
export function programOf(external: External): string | undefined {
  const name = external === 'nchan' ? 'nginx' : external;
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...FOLDERS];
  const program = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  return external === 'nchan' && nchanModule() === undefined ? undefined : program;
}

function nchanModule(): string | undefined {
  const folders = [...(process.env.NGINX_MODULES ?? '').split(delimiter), ...NCHAN_MODULES];
  return folders.map((folder) => join(folder, 'ngx_nchan_module.so')).find((file) => existsSync(file));
}

/** Started on a free port, on the core of this process, and ended with it. */
export async function startExternal(external: External, channel: string): Promise<BenchServer & { cpuUs(): number }> {
  const program = programOf(external);
  if (program === undefined) throw new Error(`${external} is not installed`);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'session-relay-bench-'));
  const child = spawn(program, argumentsOf(external, port, folder), { stdio: ['ignore', 'ignore', 'inherit'] });
  process.on('exit', () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  await listening(child, port);
  const frames = createFrameSource(channel);
  return {
    port,
    triggerPort: port,
    cursor: frames.cursor(),
    prepare() {},
    counts: () => ({}),
    cpuUs: () => cpuOf(child.pid ?? 0),
  };
}

function argumentsOf(external: External, port: number, folder: string): readonly string[] {
  const file = join(folder, 'config');
  switch (external) {
    case 'nats-server':
      return ['--addr', '127.0.0.1', '--port', String(port), '--log', join(folder, 'log')];
    case 'mosquitto':
      writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_type error\nmax_queued_messages 0\n`);
      return ['-c', file];
    case 'nchan':
      writeFileSync(file, nginxConfig(port, folder));
      return ['-c', file, '-p', folder, '-e', 'stderr'];
  }
}

/** One process: what is compared is one core. */
function nginxConfig(port: number, folder: string): string {
  return `load_module ${nchanModule() ?? ''};
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr error;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /publish { nchan_publisher; nchan_channel_id t; nchan_message_buffer_length 1000; }
    location = /events { nchan_subscriber websocket; nchan_channel_id t; nchan_subscriber_first_message newest; }
  }
}
`;
}

/** All threads' time on a core, as the kernel's scheduler counts it. */
function cpuOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) => {
    try {
      return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      return 0; // it ended meanwhile
    }
  });
  return ns.reduce((sum, one) => sum + one, 0) / NS_PER_US;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isThere) return;
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`${child.spawnfile} does not listen`);
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
  }
}
