/** An invariant that does not hold, with its first counter-example. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** Throws {@link Broken} where the condition does not hold. */
export function mustHold(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Broken(invariant);
}
