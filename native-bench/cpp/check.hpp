#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

/** Throws with both values when they are not the same. */
template <typename Value>
void checkEqual(const std::string& what, const Value& found, const Value& expected, const std::string& when = "") {
  if (found == expected) return;
  std::ostringstream text;
  text << std::boolalpha << what << " is " << found << ", expected " << expected << when;
  throw std::runtime_error(text.str());
}
