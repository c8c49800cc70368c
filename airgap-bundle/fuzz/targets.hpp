#pragma once

#include <stdexcept>
#include <string_view>

/// One function for each kind of input that comes from outside. Each must come back from any input;
/// what it finds wrong with the answer of a parser is thrown, which ends a fuzzer and fails a test.
namespace bedplate::fuzz {

void header(std::string_view input);     ///< preamble and JSON of a bundle
void tar_index(std::string_view input);  ///< an archive
void manifest(std::string_view input);   ///< manifest, index or configuration of an image
void reference(std::string_view input);  ///< an image's name, a platform, a size
void challenge(std::string_view input);  ///< WWW-Authenticate
void images(std::string_view input);     ///< what helm rendered
void lock(std::string_view input);       ///< bundle.lock
void spec(std::string_view input);       ///< bundle.yaml
void part(std::string_view input);       ///< head of a part of a bundle
void inventory(std::string_view input);  ///< what a site has, with its envelope
void claims(std::string_view input);     ///< what others signed: payloads, statements, envelopes
void request(std::string_view input);    ///< head of an HTTP request

inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

}  // namespace bedplate::fuzz
