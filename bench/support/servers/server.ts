/** A contestant as it runs in a process of its own. */
export interface BenchServer {
  readonly port: number;
  /** Where what makes its events happen connects to; 0 where that is the venue's own affair. */
  readonly triggerPort: number;
  /** Where the chain of a subscriber that comes now begins. */
  readonly cursor: string;
  /** Whatever can be made ready before the clock runs: frames of so many events. */
  prepare(events: number): void;
  /** What it counts of itself. */
  counts(): Readonly<Record<string, number>>;
  /** Its CPU time, µs, where it is not this process's. */
  cpuUs?(): number;
  /** More bytes in each event, where it can. */
  pad?(bytes: number): void;
}
