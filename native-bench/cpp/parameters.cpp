#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "json.hpp"

namespace {

/** Reads from the front of a text. */
class Reader {
 public:
  explicit Reader(const char* at) : at_(at) {}

  bool skip(char wanted) {
    while (std::isspace(static_cast<unsigned char>(*at_))) at_++;
    if (*at_ != wanted) return false;
    at_++;
    return true;
  }

  std::string name() {
    std::string found;
    while (std::isalnum(static_cast<unsigned char>(*at_)) || *at_ == '_') found += *at_++;
    return found;
  }

  bool number(double& value) {
    char* end = nullptr;
    value = std::strtod(at_, &end);
    const bool isFound = end != at_;
    at_ = end;
    return isFound;
  }

 private:
  const char* at_;
};

bool parse(Reader text, std::map<std::string, double>& values) {
  if (!text.skip('{')) return false;
  if (text.skip('}')) return text.skip('\0');
  do {
    if (!text.skip('"')) return false;
    const std::string name = text.name();
    if (name.empty() || !text.skip('"') || !text.skip(':') || !text.number(values[name])) return false;
  } while (text.skip(','));
  return text.skip('}') && text.skip('\0');
}

}  // namespace

Parameters::Parameters(const std::string& json) {
  if (parse(Reader(json.c_str()), values_)) return;
  throw std::invalid_argument("parameters are " + json + ", expected a flat JSON object of numbers");
}
