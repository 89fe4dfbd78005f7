/** The command line itself, which dies with whoever started it: a run that is killed leaves no relay behind. */
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Being listened to must not keep a command alive that has ended.
process.channel?.unref();
await import('../../src/cli/main.js');

export {};
