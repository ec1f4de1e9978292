import java.util.List;

/** A thread's handler, as in bench/scenarios/fan-out-keyed.ts: its work, and what it saw of each key. */
final class KeyedWork {
  private final int steps;
  private final int keys;
  private final KeyTally[] tallies;

  private static final class KeyTally {
    int count;
    long sizeSum;
    /** Sum of what `burn` returned, modulo 2^32: the work was done, each time. */
    int workSum;
    boolean inOrder = true;
  }

  KeyedWork(int steps, int keys) {
    this.steps = steps;
    this.keys = keys;
    tallies = emptyTallies(keys);
  }

  private static KeyTally[] emptyTallies(int keys) {
    KeyTally[] tallies = new KeyTally[keys];
    for (int key = 0; key < keys; key++) tallies[key] = new KeyTally();
    return tallies;
  }

  /** Notices a tick that is missing, changed, early, or another thread's. */
  void take(Tick tick) {
    int key = (int) tick.sequence % keys;
    KeyTally tally = tallies[key];
    if (tick.sequence != key + (double) tally.count * keys || tick.symbol != key) tally.inOrder = false;
    tally.count++;
    tally.sizeSum += tick.size;
    if (steps > 0) tally.workSum += Work.burn(steps);
  }

  /**
   * Throws unless each key's thread saw exactly the key's ticks among 0 … events - 1, in order.
   *
   * @param works By thread; a key's thread is its number modulo theirs.
   */
  static void check(List<KeyedWork> works, int events) {
    int keys = works.get(0).keys;
    int steps = works.get(0).steps;
    KeyTally[] expected = emptyTallies(keys);
    Tick tick = new Tick();
    for (int at = 0; at < events; at++) {
      tick.make(at, keys);
      expected[tick.symbol].count++;
      expected[tick.symbol].sizeSum += tick.size;
    }
    int work = steps > 0 ? Work.burn(steps) : 0;
    for (int key = 0; key < keys; key++) {
      KeyTally found = works.get(key % works.size()).tallies[key];
      String name = "key ES" + key + ": ";
      Check.equal(name + "count", found.count, expected[key].count);
      Check.equal(name + "sizeSum", found.sizeSum, expected[key].sizeSum);
      Check.equal(name + "workSum", found.workSum, expected[key].count * work);
      Check.equal(name + "inOrder", found.inOrder, true);
    }
  }
}
