/* Take-over: the blocks of a thread that is terminated, and its successor's. src/main/succession.ts, member.ts.
 *
 *   thread      Dispatcher.#ordered (dispatch.ts): D1, D3, D4, D5, D6; Lane.commit (lane.ts): redo, published, CURSOR;
 *               Reader.free (reader.ts): C3
 *   main        Succession.#lost: #bury → repair (lane.ts); Member.finish → SubscriptionBlock.fence, frozen (memory.ts),
 *               recover (delivery.ts); inherit, judge (inheritance.ts); Member.moveOn; #rewire; Wiring.recycle
 *   publisher   Lane.claim P0, Lane.commit P2, of a thread that lives
 *   reader      of what the thread has published, on a thread that lives
 *
 * The thread reads a ring of two records, delivers three, and publishes one event for each on a lane of its own. It may be
 * terminated between any two steps. Main waits for its exit, or goes on without: then it lingers, and makes any of its
 * further steps at any time. `frozen` is one step: its two readings agree, so it is as if it had been.
 *
 * Properties: no delivery is lost, none counted twice; the successor reads no record that was overwritten; what was
 * published is delivered, and owed, just so; nobody writes to a block that was recycled; nobody waits for ever.
 *
 * variant BROKEN_ORDER: lost (D5 before D3)
 * variant BROKEN_BEFORE: counted_twice (recover adds to the counter, whatever it was)
 * variant BROKEN_FREEZE: lost (the words are read one after the other, LANE last)
 * variant BROKEN_ROOM: overwritten (a lingering thread gives room back that its successor starts in)
 * variant BROKEN_REPAIR: unowed (published is left as the thread has left it)
 * variant BROKEN_EARLY: unowed (published is repaired while the thread may still write it)
 * variant BROKEN_RECYCLE: recycled (lanes are recycled once they are drained, though the thread has not exited)
 */
#define RECORDS 3
#define RING 2

byte ring[RING];                          /* which record each place holds */
byte cursor;
byte old_gate, new_gate;                  /* GATING in the thread's block, and in its successor's */
bool fenced, switched;                    /* FENCE_BIT; the publisher has been told of the new block */

byte flight, settled;                     /* LANE (0, or the record + 1) and SETTLED in the thread's block */
bool decided;
byte outcomes[RECORDS];
byte counted[RECORDS];                    /* by main, and by the successor */

byte own_cursor, own_published, own_read; /* of the thread's own lane */
byte redo_published, redo_end;            /* 0: nothing */
bool is_final, is_recycled;

bool killed, exited, lingers, waiting = true;
bool lost, counted_twice, overwritten, unowed, recycled;

#define gate (switched -> new_gate : old_gate)

active proctype publisher() {
  byte n;
  do
  :: n == RECORDS -> break
  :: n < RECORDS && n - gate < RING ->    /* P0 */
     ring[n % RING] = n;
     cursor = n + 1;                      /* P2 */
     n++
  od
}

inline mortal() { if :: killed -> goto dead :: skip fi }
inline writes() { recycled = recycled || is_recycled; assert(!recycled) }

active proctype thread() {
  byte n;
  do
  :: n == RECORDS -> break
  :: atomic { n < RECORDS && killed -> goto dead }
  :: n < RECORDS && cursor > n ->
     atomic { flight = n + 1; decided = false };                             /* D1 */
     mortal();
     redo_end = 0;                                                           /* #writeRedo */
     redo_published = own_published;
     redo_end = own_cursor + 1;
     mortal();
     own_published++;
     mortal();
     atomic { own_cursor++; writes() };                                      /* CURSOR */
     mortal();
#ifdef BROKEN_ORDER
     settled = n + 1;
     mortal();
#endif
     decided = true;                                                         /* D2, D3 */
     mortal();
     outcomes[n]++;                                                          /* D4 */
     mortal();
     settled = n + 1;                                                        /* D5 */
     mortal();
     flight = 0;                                                             /* D6 */
     mortal();
     n++;
     atomic {                                                                /* C3 */
       if
#ifdef BROKEN_ROOM
       :: true -> old_gate = n
#else
       :: !fenced -> old_gate = n
#endif
       :: else -> skip
       fi
     }
  od;
  if :: killed -> skip :: !waiting -> goto end fi;
dead:
  exited = true;
end: skip
}

/* What the thread has published is read until main recycles the lane. */
active proctype reader() {
  do
  :: own_cursor > own_read && !is_recycled -> own_read++
  :: atomic { is_recycled || !waiting -> break }
  od
}

inline repair() {
#ifdef BROKEN_REPAIR
  skip
#else
  if
  :: redo_end > 0 -> own_published = redo_published + (own_cursor == redo_end -> 1 : 0)
  :: else -> skip
  fi
#endif
}

/* Wiring.recycle: when everybody has read to the end of it. */
inline recycle() {
#ifndef BROKEN_RECYCLE
  is_final;
#endif
  atomic {
    own_read == own_cursor -> is_recycled = true;
#ifndef BROKEN_RECYCLE
    unowed = own_published != own_read        /* what is owed counts no more after that */
#endif
  }
}

active proctype main_thread() {
  byte n, f_flight, f_settled; bool f_decided; byte f_outcomes[RECORDS];
  if :: skip -> goto unhurt :: killed = true fi;
  if                                                                         /* #bury */
  :: exited -> repair(); is_final = true
  :: lingers = true;
#ifdef BROKEN_EARLY
     repair()
#endif
  fi;
  if :: lingers -> fenced = true :: else -> skip fi;
#ifdef BROKEN_FREEZE
  f_outcomes[0] = outcomes[0]; f_outcomes[1] = outcomes[1]; f_outcomes[2] = outcomes[2];
  f_settled = settled;
  f_decided = decided; f_flight = flight;
#else
  atomic {                                                                   /* frozen */
    f_flight = flight; f_decided = decided; f_settled = settled;
    f_outcomes[0] = outcomes[0]; f_outcomes[1] = outcomes[1]; f_outcomes[2] = outcomes[2]
  };
#endif
  if
  :: f_flight > 0 && f_decided ->                                            /* recover */
#ifdef BROKEN_BEFORE
     f_outcomes[f_flight - 1]++;
#else
     f_outcomes[f_flight - 1] = 1;                                           /* BEFORE + 1 */
#endif
     f_settled = f_flight
  :: f_flight > 0 && !f_decided -> skip                                      /* judge: another attempt */
  :: f_flight > 0 && !f_decided -> counted[f_flight - 1] = 1; f_settled = f_flight     /* judge: timed out, or poison */
  :: else -> skip
  fi;
  n = f_settled;
  new_gate = n;                                                              /* moveOn */
  do                                                                         /* the successor */
  :: n == RECORDS -> break
  :: n < RECORDS && cursor > n ->
     overwritten = ring[n % RING] != n;
     assert(!overwritten);
     counted[n]++;
     n++;
     new_gate = n
  :: !switched -> switched = true                                            /* rewire: a message, some time */
  od;
  switched = true;
  lost = f_outcomes[0] + counted[0] < 1 || f_outcomes[1] + counted[1] < 1 || f_outcomes[2] + counted[2] < 1;
  counted_twice = f_outcomes[0] + counted[0] > 1 || f_outcomes[1] + counted[1] > 1 || f_outcomes[2] + counted[2] > 1;
  assert(!lost);
  assert(!counted_twice);
  if
  :: is_final -> recycle()
  :: !is_final ->
#ifdef BROKEN_RECYCLE
     recycle();
#endif
     exited;
     repair();
     is_final = true;
#ifndef BROKEN_RECYCLE
     recycle()
#endif
  fi;
  assert(!unowed);
  goto end;
unhurt:
  own_read == RECORDS && old_gate == RECORDS;
  assert(outcomes[0] == 1 && outcomes[1] == 1 && outcomes[2] == 1 && own_published == RECORDS);
  waiting = false;
end: skip
}
