#pragma once

#include <cstdint>

/** A handler's work, as in bench/work.ts: each step needs the one before, and the caller uses the last. */
inline std::uint32_t burn(std::uint32_t steps) {
  std::uint32_t state = 1;
  // Unknown to the compiler, which would otherwise work out once what all calls return.
  asm volatile("" : "+r"(state));
  for (std::uint32_t step = 0; step < steps; step++) state = state * 1'664'525u + 1'013'904'223u;
  return state;
}
