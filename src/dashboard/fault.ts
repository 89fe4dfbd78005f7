/**
 * What this page got wrong itself: a picture that does not move any more must not be taken for the present. Made without
 * what may have failed; once is enough.
 */
export function tellFaults(): void {
  let isTold = false;
  const tell = (): void => {
    if (isTold) return;
    isTold = true;
    const alarm = document.createElement('div');
    alarm.className = 'banner';
    alarm.setAttribute('role', 'alert');
    alarm.textContent = 'This page has a fault of its own: what it shows may be old. ';
    const reload = document.createElement('button');
    reload.type = 'button';
    reload.textContent = 'Load it anew';
    reload.addEventListener('click', () => location.reload());
    alarm.append(reload);
    document.body.prepend(alarm);
  };
  addEventListener('error', ({ message }) => {
    // A size that was measured a frame late is no fault.
    if (!message.startsWith('ResizeObserver loop')) tell();
  });
  addEventListener('unhandledrejection', tell);
}
