/* Claims, src/shared/claims.ts: which of several threads delivers a record.
 *
 *   thread    ClaimedReader.take → Claims.take K1; Dispatcher.#deliver D1; #decide D3; Claims.done K2; #settle D4, D6;
 *             ClaimedReader.giveBack → Reader.free C3
 *   main      Member.finish (member.ts): SubscriptionBlock.fence, Claims.inherit, frozen (memory.ts), Claims.inherit again;
 *             recover (delivery.ts); Member.moveOn; then the successor runs
 *
 * Two threads, three records, a table of two slots: slot 0 is used in two laps. Thread 1 may be terminated between any two
 * steps. Main waits for its exit, or goes on without: then the thread lingers, and goes on with any of its steps, at any
 * speed and for as long as it likes. (V8 lets a terminated thread run no further than to its next call or turn of a loop.
 * Nothing here depends on that.) `frozen` is one step: its two readings agree, so it is as if it had been.
 *
 * Properties: every record gets one outcome: none is lost, none counted twice; with nobody killed none is called twice; nobody
 * waits for ever.
 *
 * variant BROKEN_CAS: counted_twice (K1 a load and a store)
 * variant BROKEN_BEFORE: counted_twice (recover adds to the counter, whatever it was)
 * variant BROKEN_INHERIT: counted_twice (what the dead thread held stays its own)
 * variant BROKEN_DONE: counted_twice (what a lingering thread has done is not inherited: it looks like a late claim)
 * variant BROKEN_ONCE: counted_twice (the claims are inherited but once, before the words are read)
 * variant BROKEN_ORDER: counted_twice (D4 before K2)
 * variant BROKEN_LATE: counted_twice (K2 a store: a lingering thread marks done what is not its own any more)
 * variant BROKEN_FENCE: lost (what a lingering thread claims late is left to it)
 * variant BROKEN_ROOM: lost (a lingering thread gives room back that its successor starts in)
 */
#define RECORDS 3
#define NONE 0
#define OLD 1                    /* claimants: thread 1, thread 2, and thread 1's successor */
#define OTHER 2
#define NEW 3

#define HELD 4
#define lap(n) ((n) / 2 + 1)     /* slots start as if lap 0 had left them done */
#define holds(c, n) ((c) * 8 + HELD + lap(n))
#define claimant(word) ((word) / 8)
#define lap_in(word) ((word) & 3)
#define is_held(word) (((word) & HELD) != 0)

byte slot[2];
byte calls[RECORDS];
byte gate[2];                    /* of the members' blocks that publishers look at */
bool fenced_room;                /* FENCE_BIT of thread 1's */

typedef Block { byte flight; bool decided; byte gate; byte outcomes[RECORDS] };
Block own;                       /* thread 1's; its gate is gate[0] until main has moved on */
Block frozen;
byte others[RECORDS];            /* outcomes that thread 2 and the successor have counted */
bool killed, exited, lingers, lost, counted_twice, called_twice;

/* Record n is in the ring when n - 2 has left it, for which everybody's gating position is needed. */
#define published(n) ((n) < 2 || (gate[0] > (n) - 2 && gate[1] > (n) - 2))

inline cas(n, expected, new, won) {
  atomic { if :: slot[(n) % 2] == expected -> slot[(n) % 2] = new; won = true :: else -> won = false fi }
}

inline take(n, me, fenced, won) {                                            /* K1 */
  do
  :: word = slot[(n) % 2];
     if
     :: lap_in(word) == lap(n) && word == holds(me, n) -> won = true; break
     :: lap_in(word) == lap(n) && word != holds(me, n) && claimant(word) != fenced -> won = false; break
     :: lap_in(word) != lap(n) && (is_held(word) || lap_in(word) != lap(n) - 1) -> won = false; break
     :: else ->
#ifdef BROKEN_CAS
        slot[(n) % 2] = holds(me, n); won = true; break
#else
        cas(n, word, holds(me, n), won);
        if :: won -> break :: else -> skip fi
#endif
     fi
  od
}

inline finish_claim(n, me, won) { cas(n, holds(me, n), holds(me, n) - HELD, won) }     /* K2 */

inline mortal() { if :: killed -> goto dead :: skip fi }

active proctype thread1() {
  byte n, word; bool won, stuck;
  do
  :: n == RECORDS -> break
  :: atomic { n < RECORDS && killed -> goto dead }
  :: n < RECORDS && published(n) ->
     take(n, OLD, 0, won);
     mortal();
     if
     :: won ->
        atomic { own.flight = n + 1; own.decided = false; if :: !lingers -> calls[n]++ :: else -> skip fi };   /* D1 */
        mortal();
        own.decided = true;                                                  /* D2, D3 */
        mortal();
#ifdef BROKEN_ORDER
        own.outcomes[n]++;
        mortal();
#endif
#ifdef BROKEN_LATE
        slot[n % 2] = holds(OLD, n) - HELD; won = true;
#else
        finish_claim(n, OLD, won);
#endif
        mortal();
        if
        :: won ->
#ifndef BROKEN_ORDER
           own.outcomes[n]++;                                                /* D4 */
           mortal();
#endif
           own.flight = NONE                                                 /* D6 */
        :: else -> stuck = true                                              /* it was taken from us */
        fi
     :: else -> skip
     fi;
     mortal();
     n++;
     atomic {                                                                /* C3 */
       if
#ifdef BROKEN_ROOM
       :: !stuck -> own.gate = n; gate[0] = n
#else
       :: !stuck && !fenced_room -> own.gate = n; gate[0] = n
#endif
       :: else -> skip
       fi
     }
  od;
  if :: killed -> skip :: !killed && gate[1] == RECORDS -> goto end fi;
dead:
  exited = true;
end: skip
}

active proctype thread2() {
  byte n, word; bool won;
  do
  :: n == RECORDS -> break
  :: n < RECORDS && published(n) ->
     take(n, OTHER, 0, won);
     if :: won -> calls[n]++; finish_claim(n, OTHER, won); others[n]++ :: else -> skip fi;
     n++;
     gate[1] = n
  od
}

inline inherit() {
  i = 0; found = 0;
  do
  :: i == 2 -> break
  :: i < 2 ->
     word = slot[i];
     if
#ifdef BROKEN_DONE
     :: claimant(word) == OLD && is_held(word) ->
#else
     :: claimant(word) == OLD && (lingers || is_held(word)) ->
#endif
        cas(i, word, word + (NEW - OLD) * 8, won);
        found++;
        if :: won -> i++ :: else -> skip fi
     :: else -> i++
     fi
  od
}

#define total(n) ((killed -> frozen.outcomes[n] : own.outcomes[n]) + others[n])
inline count() {
  lost = total(0) < 1 || total(1) < 1 || total(2) < 1;
  counted_twice = total(0) > 1 || total(1) > 1 || total(2) > 1;
  assert(!lost);
  assert(!counted_twice)
}

active proctype main_thread() {
  byte n, i, word, found, fenced; bool won;
  if
  :: skip -> goto unhurt
  :: killed = true
  fi;
  if :: exited -> skip :: lingers = true fi;
  if :: lingers -> fenced = OLD; fenced_room = true :: else -> skip fi;     /* Member.finish */
#ifndef BROKEN_INHERIT
  inherit();
#endif
again:
  atomic {                                                                   /* frozen */
    frozen.flight = own.flight; frozen.decided = own.decided; frozen.gate = own.gate;
    frozen.outcomes[0] = own.outcomes[0]; frozen.outcomes[1] = own.outcomes[1]; frozen.outcomes[2] = own.outcomes[2]
  };
#ifndef BROKEN_ONCE
#ifndef BROKEN_INHERIT
  if
  :: lingers ->
     inherit();
     if :: found > 0 -> goto again :: else -> skip fi
  :: else -> skip
  fi;
#endif
#endif
  if                                                                         /* recover */
  :: frozen.flight != NONE && frozen.decided ->
     n = frozen.flight - 1;
#ifdef BROKEN_BEFORE
     frozen.outcomes[n]++;
#else
     frozen.outcomes[n] = 1;                                                 /* BEFORE + 1 */
#endif
     finish_claim(n, NEW, won)
  :: else -> skip
  fi;
  n = frozen.gate;
#ifdef BROKEN_FENCE
  fenced = 0;
#endif
  gate[0] = n;                                                               /* moveOn, rewire */
  do                                                                         /* the successor */
  :: n == RECORDS -> break
  :: n < RECORDS && published(n) ->
     take(n, NEW, fenced, won);
     if :: won -> calls[n]++; finish_claim(n, NEW, won); others[n]++ :: else -> skip fi;
     n++;
     gate[0] = n
  od;
  gate[1] == RECORDS;
  count();
  goto end;
unhurt:
  gate[0] == RECORDS && gate[1] == RECORDS;
  count();
  called_twice = calls[0] > 1 || calls[1] > 1 || calls[2] > 1;
  assert(!called_twice);
end: skip
}
