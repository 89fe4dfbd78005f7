import { connect } from 'node:net';

/** Sends bytes over a TCP connection as they are, and resolves with everything that came until it closed, or until `done` has come. */
export function exchange(url: string, bytes: string, done?: RegExp): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += String(part);
      if (done?.test(text) === true) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}
