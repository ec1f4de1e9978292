/* Claims, src/shared/claims.ts: which of several threads delivers a record.
 *
 *   thread    ClaimedReader.take → Claims.take K1; Dispatcher.#place, #deliver D1, #decide D3 D4; Claims.done K2; #settle D6
 *   main      Member.finish (member.ts): Claims.inherit, then recover (delivery.ts); Member.moveOn; then the successor runs
 *
 * Two threads, three records, a table of two slots: slot 0 is used in two laps. Thread 1 may be terminated between any two
 * steps. It may linger in native code: then the successor starts before it is gone, and what steps it has left it makes
 * late. What it counts late is in a block that nobody reads any more. Assumed: it makes none of them in the very middle of
 * the take-over. (V8 lets a terminated thread run no JavaScript but to the next stack check.)
 *
 * Properties: every record gets one outcome: none is lost, none counted twice. With nobody killed a handler is called once.
 *
 * variant BROKEN_CAS: none counted twice (K1 a load and a store)
 * variant BROKEN_BEFORE: none counted twice (recover adds to the counter, whatever it was)
 * variant BROKEN_DONE: none counted twice (recover does not mark done what it has completed)
 * variant BROKEN_INHERIT: no delivery lost (what the dead thread held stays its own)
 * variant BROKEN_FENCE: no delivery lost (what a lingering thread claims late is left to it)
 * variant BROKEN_LATE: no delivery lost (K2 a store: a lingering thread marks done what is not its own any more)
 */
#define RECORDS 3
#define NONE 9
#define OLD 1                    /* claimants: thread 1, thread 2, and thread 1's successor */
#define OTHER 2
#define NEW 3

#define LAP(n) ((n) < 2)         /* slots start as if a lap before had left them */
#define WORD(c, n) ((c) * 4 + LAP(n))
#define DONE 2
#define claimant(word) ((word) / 4)
#define lap(word) ((word) % 2)

byte slot[2];
byte outcomes[RECORDS];          /* in blocks that are read */
byte calls[RECORDS];
byte gating[2];                  /* of the two members */
byte flight = NONE;              /* thread 1's own block */
bool decided, counted;
bool killed, lingers, taking, taken;

/* Record n is in the ring when n - 2 has left it, for which everybody's gating position is needed. */
#define published(n) ((n) < 2 || (gating[0] > (n) - 2 && gating[1] > (n) - 2))

inline cas(n, expected, new, won) {
  atomic { if :: slot[(n) % 2] == expected -> slot[(n) % 2] = new; won = true :: else -> won = false fi }
}

inline take(n, me, fenced, won) {                                   /* K1 */
  do
  :: word = slot[(n) % 2];
     if
     :: lap(word) == LAP(n) && word == WORD(me, n) -> won = true; break
     :: lap(word) == LAP(n) && word != WORD(me, n) && word != WORD(fenced, n) -> won = false; break
     :: else ->
#ifdef BROKEN_CAS
        slot[(n) % 2] = WORD(me, n); won = true; break
#else
        cas(n, word, WORD(me, n), won);
        if :: won -> break :: else -> skip fi
#endif
     fi
  od
}

inline finish_claim(n, me) { cas(n, WORD(me, n), WORD(me, n) + DONE, ok) }      /* K2 */

/* Where thread 1 may be terminated, at once or not before it comes back from native code. */
inline mortal() {
  if
  :: skip
  :: atomic { !killed -> killed = true }; goto dead
  :: atomic { !killed -> killed = true; lingers = true }; taken          /* waits: it is in native code */
  :: !lingers || taken -> skip
  fi
}

active proctype thread1() {
  byte n, word; bool won, ok;
  do
  :: n == RECORDS -> break
  :: n < RECORDS && (published(n) || lingers) ->
     take(n, OLD, OLD, won);
     mortal();
     if
     :: won ->
        atomic { flight = n; decided = false; counted = false; if :: !lingers -> calls[n]++ :: else -> skip fi };  /* D1 */
        mortal();
        decided = true;                                                      /* D2, D3 */
        mortal();
        atomic { if :: !taken -> outcomes[n]++ :: else -> skip fi; counted = true };   /* D4 */
        mortal();
#ifdef BROKEN_LATE
        slot[n % 2] = WORD(OLD, n) + DONE;
#else
        finish_claim(n, OLD);
#endif
        mortal();
        flight = NONE                                                        /* D6 */
     :: else -> skip
     fi;
     mortal();
     if :: !taken -> gating[0] = n + 1 :: else -> skip fi;                   /* giveBack */
     n++
  od;
dead: skip
}

active proctype thread2() {
  byte n, word; bool won, ok;
  do
  :: n == RECORDS -> break
  :: n < RECORDS && published(n) ->
     take(n, OTHER, OTHER, won);
     if :: won -> calls[n]++; outcomes[n]++; finish_claim(n, OTHER) :: else -> skip fi;
     gating[1] = n + 1;
     n++
  od
}

active proctype main_thread() {
  byte n, i, word, fenced = NEW; bool won, ok;
  if
  :: killed ->
     do                                                                      /* inherit */
     :: i == 2 -> break
     :: i < 2 ->
#ifndef BROKEN_INHERIT
        word = slot[i];
        if
        :: claimant(word) == OLD && (word / 2) % 2 == 0 -> cas(i, word, NEW * 4 + lap(word), ok)
        :: else -> skip
        fi;
#endif
        i++
     od;
     if                                                                      /* recover */
     :: flight != NONE && decided ->
#ifdef BROKEN_BEFORE
        outcomes[flight]++;
#else
        outcomes[flight] = 1;                                                /* BEFORE + 1 */
#endif
#ifndef BROKEN_DONE
        n = flight; finish_claim(n, NEW);
#endif
     :: else -> skip
     fi;
     n = gating[0];                                                          /* moveOn */
#ifndef BROKEN_FENCE
     if :: lingers -> fenced = OLD :: else -> skip fi;
#endif
     taken = true;
     do                                                                      /* the successor */
     :: n == RECORDS -> break
     :: n < RECORDS && published(n) ->
        take(n, NEW, fenced, won);
        if
        :: won ->
           calls[n]++; outcomes[n]++; finish_claim(n, NEW);
           /* Its own claim, even if the late thread has been there in between. */
        :: else -> skip
        fi;
        gating[0] = n + 1;
        n++
     od
  :: gating[0] == RECORDS && gating[1] == RECORDS && !killed -> skip
  fi;
  (gating[0] == RECORDS && gating[1] == RECORDS);
  assert(outcomes[0] == 1 && outcomes[1] == 1 && outcomes[2] == 1);
  assert(killed || (calls[0] == 1 && calls[1] == 1 && calls[2] == 1))
}
