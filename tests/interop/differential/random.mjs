// A random number generator with a seed, so that each run has the same requests.

/** Mulberry32: 32 bits of state, evenly distributed, enough for tests. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** A number in [0, 1). */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below `limit`. */
  below(limit) {
    return Math.floor(this.next() * limit);
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(values) {
    return values[this.below(values.length)];
  }

  /** At least one of the values, at most `limit`, in their order; values can repeat if `repeat` is set. */
  some(values, limit) {
    const count = 1 + this.below(limit);
    return Array.from({ length: count }, () => this.pick(values));
  }
}
