/* Parking, src/shared/parking.ts: a thread with nothing to do sleeps, and no wake-up is lost.
 *
 *   sleeper   Pump.#park (pump.ts): Parker.announce S1, look for news S2, Parker.wait S3
 *   waker     Lane.commit (lane.ts): the cursor W1, ring W2 (load; compare-and-swap; notify)
 *   main      Succession.#rouseAll (succession.ts): rouse, after a waker has died anywhere
 *
 * Every statement that touches a shared word is one Atomics call, so one step. `parked` is V8's list of waiters: waitAsync
 * enters it in the same step in which it compares the word.
 *
 * Property: no lost wake-up. Nobody sleeps for ever over news: no end state with the sleeper asleep and news unseen.
 *
 * variant BROKEN_SLEEPER: sleeps for ever (S2 above S1)
 * variant BROKEN_WAKER: sleeps for ever (W2 above W1)
 * variant BROKEN_RING: sleeps for ever (ring, not rouse, for a waker that died between its CAS and its notify)
 */
#define EVENTS 2
#define AWAKE 0
#define PARKED 1

byte word = AWAKE;      /* DOORBELL */
byte news = 0;          /* CURSOR */
byte seen = 0;
bool parked = false;    /* waits in waitAsync */
bool died = false, roused = false, done = false;

inline notify() { parked = false }

inline cas_and_notify() {               /* wake() */
  if
  :: atomic { word == PARKED -> word = AWAKE };
     if
     :: notify()
     :: !died && !done -> died = true; goto dead    /* terminated between the two */
     fi
  :: atomic { word != PARKED -> skip }
  fi
}

active proctype sleeper() {
  do
  :: seen == EVENTS -> break
  :: seen < EVENTS ->
#ifdef BROKEN_SLEEPER
     if
     :: news > seen -> seen = news              /* S2 */
     :: news == seen ->
        word = PARKED;                          /* S1 */
        goto sleep
     fi;
     goto again;
#else
     word = PARKED;                             /* S1 */
     if
     :: news > seen -> seen = news; word = AWAKE; goto again   /* S2, cancel */
     :: news == seen -> skip
     fi;
#endif
sleep:
     if
     :: atomic { word == PARKED -> parked = true };            /* S3 */
        !parked                                                /* blocks: the end state that must not be */
     :: atomic { word != PARKED -> skip }                      /* waitAsync returns at once */
     fi;
again: skip
  od;
  done = true
}

active proctype waker() {
  byte n = 0;
  do
  :: n == EVENTS -> break
  :: n < EVENTS ->
#ifdef BROKEN_WAKER
     cas_and_notify();                          /* W2 */
     news++; n++
#else
     news++; n++;                               /* W1 */
     if
     :: !died -> skip
     :: !died && n == EVENTS -> died = true; goto dead         /* terminated before it has rung */
     fi;
     cas_and_notify()                           /* W2 */
#endif
  od;
  goto end;
dead:
  news = EVENTS;   /* what else it would have published comes from others; they have rung, or main does */
end: skip
}

active proctype main_thread() {
  if
  :: died ->
     news == EVENTS;
#ifdef BROKEN_RING
     if
     :: atomic { word == PARKED -> word = AWAKE }; notify()
     :: atomic { word != PARKED -> skip }
     fi;
#else
     word = AWAKE; notify();                    /* rouse */
#endif
     roused = true
  :: done -> skip
  fi
}
