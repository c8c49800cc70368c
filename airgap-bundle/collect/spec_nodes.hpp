#pragma once

#include <string>
#include <string_view>

#include "airgap-bundle/collect/spec.hpp"
#include "core/yaml.hpp"

// The parts of a specification, each from its place in a document. What is wrong becomes a finding
// there; the result is then of no use.
namespace bedplate::collect {

ImageSpec parse_image(const YamlNode& node);
ChartSpec parse_chart(const YamlNode& node);
AllowMissingSpec parse_allowance(const YamlNode& node);
/// A finding when the rule asks for a signature that an image of this source cannot have.
void check_signed(const PolicySpec& rule, const ImageSpec& image, const YamlNode& node);
FileSpec parse_file(const YamlNode& node);
/// The lists `packages` and `catalog` of the whole document.
void parse_packages_and_catalogs(const YamlNode& root, BundleSpec& spec);

/// A finding for every file that would come without TLS from a host for which nobody allowed it;
/// marks the others.
void check_plain_http(const YamlNode& root, BundleSpec& spec);

/// "host[:port]" of an http(s) URL; empty when it is none, or when it carries a password.
std::string host_of(std::string_view url);

}  // namespace bedplate::collect
