/** How long an event takes: there and back, past a flood, at a fixed rate. */
#include <algorithm>
#include <cmath>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "latency.hpp"
#include "scenarios.hpp"
#include "streams.hpp"
#include "work.hpp"

namespace {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;

constexpr std::uint32_t CAPACITY = 65'536;

/** One side's way to the other: a ring, and a bell for who sleeps beside it. */
struct Way {
  explicit Way(std::uint32_t capacity) : ring(capacity) {}

  template <typename Write>
  void send(bool parks, Write&& write) {
    publish(ring, write);
    if (parks) bell.ring();
  }

  /** Waits for the next record. */
  Tick take(bool parks) {
    const auto isVisible = [&] { return ring.reader().visible() > 0; };
    if (parks) {
      bell.await(isVisible);
    } else {
      awaitWithBackoff(isVisible);
    }
    const Tick tick = ring.reader().front();
    ring.reader().release(1);
    return tick;
  }

  TickRing ring;
  Doorbell bell;
};

}  // namespace

/** Main thread → echo → main thread, one tick at a time. `wait` 0: both spin; 1: both sleep until they are woken. */
JsonObject pingPong(const Parameters& parameters) {
  constexpr std::uint32_t WAY_CAPACITY = 1'024;
  const std::uint32_t warmup = parameters.count("warmup", 10'000);
  const std::uint32_t total = warmup + parameters.count("events", 100'000);
  const std::uint32_t symbols = parameters.count("symbols", 16);
  const std::uint32_t drop = parameters.drop();
  const bool parks = parameters.count("wait", 0) == 1;
  Way there(WAY_CAPACITY);
  Way back(WAY_CAPACITY);
  Latencies latencies(total);

  std::jthread echo([&] {
    for (;;) {
      const Tick ping = there.take(parks);
      if (ping.symbol == END) return;
      back.send(parks, [&](Tick& pong) { pong = ping; });
    }
  });
  std::uint32_t returned = 0;
  bool inOrder = true;
  for (std::uint32_t at = 0; at < total; at++) {
    if (at == drop) continue;
    const Clock::time_point sentAt = Clock::now();
    there.send(parks, [&](Tick& tick) { makeTick(tick, at, symbols); });
    const Tick pong = back.take(parks);
    const Clock::time_point returnedAt = Clock::now();
    if (pong.sequence != at) inOrder = false;
    returned++;
    if (at >= warmup) latencies.record(duration_cast<nanoseconds>(returnedAt - sentAt));
  }
  there.send(parks, [](Tick& tick) { tick.symbol = END; });
  echo.join();
  checkEqual("round trips: their count", returned, total);
  checkEqual("round trips: inOrder", inOrder, true);
  latencies.sort();
  return JsonObject()
      .add("value", latencies.microsAt(0.5))
      .add("latency", latencies.toJson())
      .add("details", JsonObject().add("wait", parks ? Doorbell::NAME : Backoff::NAME));
}

/**
 * Two rings, urgent and market, between the same two threads. The producer floods market and puts a halt into urgent every
 * `everyMicros`; the consumer looks into urgent before each tick of market. A tick's work makes the consumer the slower one.
 */
JsonObject haltOvertakes(const Parameters& parameters) {
  constexpr std::uint32_t URGENT_CAPACITY = 1'024;
  /** Ticks between two looks at the clock, which costs more than a tick. */
  constexpr std::uint32_t TICKS_A_LOOK = 32;
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t warmup = parameters.count("warmup", 200);
  const std::uint32_t total = warmup + parameters.positive("events", 1'000);
  const std::chrono::microseconds every(parameters.count("everyMicros", 1'000));
  const std::uint32_t workSteps = parameters.count("workSteps", 0);
  const std::uint32_t drop = parameters.drop();
  TickRing urgent(URGENT_CAPACITY);
  TickRing market(parameters.count("capacity", CAPACITY));

  // A halt's exchangeTime is when it was published, in ns from here; its price, how many ticks went before it.
  const Clock::time_point start = Clock::now();
  const auto nowNanos = [&] { return static_cast<double>(duration_cast<nanoseconds>(Clock::now() - start).count()); };

  TickTally tally(symbols);
  std::uint32_t workSum = 0;
  Latencies latencies(total);
  std::vector<double> overtaken;
  std::uint32_t haltsSeen = 0;
  bool haltsInOrder = true;
  std::jthread consumer([&] {
    TickTally ticks(symbols);
    const auto takeUrgent = [&] {
      urgent.reader().poll([&](const Tick& halt) {
        const double nanos = nowNanos() - halt.exchangeTime;
        if (halt.sequence != haltsSeen) haltsInOrder = false;
        if (haltsSeen++ < warmup) return;
        latencies.record(nanoseconds(static_cast<std::int64_t>(nanos)));
        overtaken.push_back(halt.price - static_cast<double>(ticks.count()));
      });
    };
    Backoff backoff;
    for (bool hasEnded = false; !hasEnded;) {
      takeUrgent();
      const std::uint64_t count = market.reader().poll([&](const Tick& tick) {
        takeUrgent();
        if (tick.symbol == END) {
          hasEnded = true;
        } else {
          ticks.take(tick);
          workSum += burn(workSteps);
        }
      });
      if (count > 0) {
        backoff.reset();
      } else {
        backoff.pause();
      }
    }
    tally = ticks;
  });

  std::uint32_t flooded = 0;
  Clock::time_point dueAt = start + every;
  for (std::uint32_t published = 0; published < total;) {
    for (std::uint32_t tick = 0; tick < TICKS_A_LOOK && market.hasRoom(); tick++, flooded++) {
      if (flooded == drop) continue;
      makeTick(market.claimed(), flooded, symbols.count());
      market.commit();
    }
    if (!market.hasRoom()) std::this_thread::yield();
    if (Clock::now() < dueAt) continue;
    publish(urgent, [&](Tick& halt) {
      halt.symbol = 0;
      halt.sequence = published;
      halt.price = flooded;
      halt.exchangeTime = nowNanos();
    });
    published++;
    dueAt = Clock::now() + every;
  }
  publishEnd(market);
  consumer.join();
  const double seconds = secondsSince(start);
  tally.check(flooded);
  checkEqual("the consumer's workSum", workSum, flooded * burn(workSteps));
  checkEqual("the consumer's halts", haltsSeen, total);
  checkEqual("the consumer's halts: inOrder", haltsInOrder, true);
  latencies.sort();
  return JsonObject()
      .add("value", latencies.microsAt(0.99))
      .add("latency", latencies.toJson())
      .add("details", JsonObject()
                          .add("wait", Backoff::NAME)
                          .add("ticks", flooded)
                          .add("floodPerSecond", flooded / seconds)
                          .add("overtaken", median(overtaken)));
}

namespace {

struct Load {
  double sentPerSecond;
  Latencies latencies;
};

/** Sends so many events at this rate, whatever becomes of them. */
Load sendPaced(TickRing& ring, double perSecond, std::uint32_t events, const Symbols& symbols, std::uint32_t drop) {
  /** Reading the clock takes as long as an event or longer, so no more events are timed than this. */
  constexpr double MAX_TIMED_PER_SECOND = 1e6;
  const auto timedEvery = static_cast<std::uint32_t>(std::ceil(perSecond / MAX_TIMED_PER_SECOND));
  const double intervalNanos = 1e9 / perSecond;
  TickTally tally(symbols);
  Latencies latencies(events / timedEvery + 1);
  std::latch isReady(1);
  Clock::time_point start;
  const auto elapsedNanos = [&] { return static_cast<double>(duration_cast<nanoseconds>(Clock::now() - start).count()); };
  std::jthread consumer([&] {
    TickTally ticks(symbols);
    std::uint32_t untilTimed = 1;
    isReady.count_down();
    consumeStream(ring.reader(), [&](const Tick& tick) {
      if (--untilTimed == 0) {
        untilTimed = timedEvery;
        latencies.record(nanoseconds(static_cast<std::int64_t>(elapsedNanos() - tick.sequence * intervalNanos)));
      }
      ticks.take(tick);
    });
    tally = ticks;
  });
  // How long a thread takes to start is nobody's latency.
  isReady.wait();
  start = Clock::now();
  for (std::uint32_t at = 0; at < events;) {
    // The first event is due at once.
    const double due = std::min(std::floor(elapsedNanos() / intervalNanos) + 1, static_cast<double>(events));
    for (; at < due; at++) {
      if (at != drop) publish(ring, [&](Tick& tick) { makeTick(tick, at, symbols.count()); });
    }
  }
  const double seconds = secondsSince(start);
  publishEnd(ring);
  consumer.join();
  tally.check(events);
  latencies.sort();
  return {events / seconds, std::move(latencies)};
}

}  // namespace

/**
 * Producer → consumer at 10, 50 and 90 % of the rate that this machine has just reached. The latency is from when an event
 * was to be sent, which is never later than when it was, to its handler's start.
 */
JsonObject openLoad(const Parameters& parameters) {
  constexpr int LEVELS[] = {10, 50, 90};
  constexpr int VALUE_LEVEL = 50;
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t drop = parameters.drop();
  const double settleSeconds = parameters.number("settleMs", 100) / 1'000;
  const double levelSeconds = parameters.number("levelMs", 1'000) / 1'000;
  TickRing ring(parameters.count("capacity", CAPACITY));

  const double most = measureThroughput(parameters, [&](std::uint32_t events) {
    TickTally tally(symbols);
    const Clock::time_point start = Clock::now();
    std::jthread consumer([&] { tally = tallyStream(ring.reader(), symbols); });
    publishStream(ring, events, symbols.count(), drop);
    consumer.join();
    const double seconds = secondsSince(start);
    tally.check(events);
    return seconds;
  }).median;

  JsonObject details;
  details.add("wait", Backoff::NAME).add("mostPerSecond", most);
  JsonObject latency;
  double value = 0;
  for (const int level : LEVELS) {
    const double perSecond = most * level / 100;
    const auto eventsOf = [&](double seconds) { return static_cast<std::uint32_t>(std::ceil(perSecond * seconds)); };
    sendPaced(ring, perSecond, eventsOf(settleSeconds), symbols, drop);
    const Load load = sendPaced(ring, perSecond, eventsOf(levelSeconds), symbols, drop);
    const std::string place = " at " + std::to_string(level) + " %";
    details.add("p50" + place, load.latencies.microsAt(0.5))
        .add("p99" + place, load.latencies.microsAt(0.99))
        .add("p999" + place, load.latencies.microsAt(0.999))
        .add("max" + place, load.latencies.microsAt(1))
        .add("rate" + place, load.sentPerSecond)
        .add("timed" + place, load.latencies.count());
    if (level != VALUE_LEVEL) continue;
    latency = load.latencies.toJson();
    value = load.latencies.microsAt(0.99);
  }
  return JsonObject().add("value", value).add("latency", latency).add("details", details);
}
