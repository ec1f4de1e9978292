/** How a thread waits for another one. */
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/** Some 2 µs without a system call, then the core to whoever else is ready, then sleep: a machine may have fewer cores than threads. */
class Backoff {
 public:
  static constexpr const char* NAME = "spin, then yield, then sleep 50 µs at a time";

  void pause() {
    if (++pauses_ <= SPINS) {
      spinOnce();
    } else if (pauses_ <= SPINS + YIELDS) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  void reset() { pauses_ = 0; }

 private:
  static constexpr unsigned SPINS = 200;
  static constexpr unsigned YIELDS = 200;

  static void spinOnce() {
#if defined(__x86_64__)
    _mm_pause();
#endif
  }

  unsigned pauses_ = 0;
};

template <typename IsReady>
void awaitWithBackoff(IsReady&& isReady) {
  for (Backoff backoff; !isReady();) backoff.pause();
}

/** Who waits sleeps (a futex) until it is rung. */
class Doorbell {
 public:
  static constexpr const char* NAME = "parked on a futex (std::atomic::wait)";

  /** To be called after what makes the other side ready is visible. */
  void ring() {
    rings_.fetch_add(1);
    rings_.notify_one();
  }

  template <typename IsReady>
  void await(IsReady&& isReady) {
    for (;;) {
      // Read before the look, so that a ring after the look is not slept through.
      const int seen = rings_.load();
      if (isReady()) return;
      rings_.wait(seen);
    }
  }

 private:
  std::atomic<int> rings_{0};
};
