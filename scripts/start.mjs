// `npm start`: builds, then becomes the demo.
import './build.mjs';

// npm passes a signal on to the shell that it starts scripts in, and that shell dies without telling anybody: whoever
// ends npm would leave a relay behind that holds its port. A parent that is gone is taken for the signal that it got.
const LOOK_MS = 250;
if (process.env.npm_lifecycle_event === 'start') {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MS);
  watch.unref();
}

process.argv.splice(2, 0, 'demo');
await import('../dist/cli/main.js');
