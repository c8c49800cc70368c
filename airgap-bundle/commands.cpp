#include "airgap-bundle/commands.hpp"

#include <charconv>
#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <libsmartcols/libsmartcols.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/closure/bundle_proof.hpp"
#include "airgap-bundle/closure/commands.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/registry/server.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/progress.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

struct BundleOptions {
  std::string spec;
  std::string root;
  std::string output;
  std::string key;
  std::string created;
  std::string bundle;
  std::vector<std::string> trust;
  std::string helm;
  std::string lock;
  std::string report;
  std::string listen = "127.0.0.1:5005";
};

/// The secrets file of a site, or a PEM file with the key alone.
Result<PrivateKey> read_signing_key(const std::string& path) {
  BP_TRY(const auto text, read_file(path, 1U << 20));
  if (text.find("-----BEGIN") == 0) return PrivateKey::from_pem(text);
  BP_TRY(const auto secrets, read_secrets(path));
  return PrivateKey::from_pem(secrets.bundle_key);
}

/// Each word is a key ("ed25519:…"), a site file, a secrets file, or a list of keys, one per line.
Result<std::vector<PublicKey>> read_trust(const std::vector<std::string>& words) {
  std::vector<PublicKey> keys;
  for (const auto& word : words) {
    if (word.starts_with("ed25519:")) {
      BP_TRY(const auto key, PublicKey::parse(word));
      keys.push_back(key);
    } else if (word.ends_with(".secrets")) {
      BP_TRY(const auto key, read_signing_key(word));
      keys.push_back(key.public_key());
    } else if (word.ends_with(".yaml") || word.ends_with(".yml")) {
      BP_TRY(const auto site, read_site(word));
      keys.insert(keys.end(), site.trust.bundle_keys.begin(), site.trust.bundle_keys.end());
    } else {
      BP_TRY(const auto text, read_file(word, 1U << 20));
      for (std::size_t start = 0; start < text.size();) {
        const auto end = std::min(text.find('\n', start), text.size());
        if (text.compare(start, 8, "ed25519:") == 0) {
          BP_TRY(const auto key, PublicKey::parse(text.substr(start, end - start)));
          keys.push_back(key);
        }
        start = end + 1;
      }
    }
  }
  if (!keys.empty()) return keys;
  return fail(ErrorKind::usage, "no key to check the bundle's signature with",
              "give --trust with a sealed site file, the site's secrets file, or a key "
              "(ed25519:…)");
}

Result<WallTime> creation_time(const BundleOptions& options) {
  if (!options.created.empty()) return parse_rfc3339(options.created);
  // reproducible-builds.org: the time of the source instead of the time of the build.
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr) {
    return WallTime(std::chrono::seconds(std::strtoll(epoch, nullptr, 10)));
  }
  return SystemClock().now();
}

Json summary(const bundle::Header& header, std::uint64_t size, const PublicKey& signer) {
  Json out = parse_json(bundle::to_json_text(header), "header").value_or(Json::object());
  out["size"] = size;
  out["signer"] = signer.str();
  out["fingerprint"] = signer.fingerprint();
  return out;
}

void print_proof(const closure::Proof& proof) {
  fmt::print(
      "asked for by charts and kubeadm: {} images here, {} allowed to be missing, {} missing\n",
      proof.present.size(), proof.allowed.size(), proof.missing.size());
  for (const auto& item : proof.allowed) {
    fmt::print("  not here: {} ({})\n", item.need.image.str(), item.reason);
  }
  for (const auto& name : proof.unused) {
    fmt::print("  allowed to be missing, but nothing asks for it: {}\n", name);
  }
}

std::filesystem::path root_of(const BundleOptions& options) {
  if (!options.root.empty()) return options.root;
  return std::filesystem::absolute(options.spec).parent_path();
}

/// The named one, else the one beside the specification: bundle.yaml has bundle.lock.
std::filesystem::path lock_of(const BundleOptions& options) {
  if (!options.lock.empty()) return options.lock;
  return std::filesystem::path(options.spec).replace_extension(".lock");
}

Result<int> create(const BundleOptions& options, bool json) {
  BP_TRY(const auto text, read_file(options.spec, 4U << 20));
  BP_TRY(const auto spec, collect::parse_spec(text, options.spec));
  BP_TRY_DURING(const auto key, "reading the signing key", read_signing_key(options.key));
  BP_TRY(const auto created, creation_time(options));
  collect::CreateOptions how;
  how.root = root_of(options);
  std::error_code ignored;
  if (!options.lock.empty() || std::filesystem::exists(lock_of(options), ignored)) {
    BP_TRY(const auto lock_text, read_file(lock_of(options), 64U << 20));
    BP_TRY(how.lock, collect::Lock::parse(lock_text, lock_of(options).string()));
  }
  how.output = options.output;
  how.created_at = created;
  auto progress = make_console_progress();
  SystemProcessRunner runner;
  how.runner = &runner;
  how.helm = options.helm;
  BP_TRY(const auto created_bundle, collect::create_bundle(spec, how, key, progress.get()));
  const auto& [header, proof] = created_bundle;
  progress.reset();
  const auto size = std::filesystem::file_size(options.output);
  if (json) {
    fmt::print("{}\n", summary(header, size, key.public_key()).dump());
    return 0;
  }
  fmt::print("{}: {}, {} images, {} artifacts, signed by {}\n", options.output, format_bytes(size),
             header.images.size(), header.artifacts.size(), key.public_key().fingerprint());
  print_proof(proof);
  return 0;
}

Result<int> resolve(const BundleOptions& options, bool json) {
  BP_TRY(const auto text, read_file(options.spec, 4U << 20));
  BP_TRY(const auto spec, collect::parse_spec(text, options.spec));
  auto progress = make_console_progress();
  SystemProcessRunner runner;
  BP_TRY(const auto lock,
         collect::resolve(spec, root_of(options), options.helm, runner, progress.get()));
  progress.reset();
  const auto path = lock_of(options);
  const auto now = lock.to_text();
  const auto before = read_file(path);
  const bool changed = !before || *before != now;
  if (changed) BP_CHECK(write_file_atomic(path, now));
  if (json) {
    fmt::print("{}\n", Json{{"lock", path.string()}, {"changed", changed}}.dump());
  } else {
    fmt::print("{}: {}\n", path.string(),
               changed ? "written; review what has changed" : "unchanged");
  }
  return 0;
}

Result<int> prove(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  SystemProcessRunner runner;
  const auto helm = options.helm.empty() ? "helm" : options.helm;
  BP_TRY(const auto proof, closure::prove_bundle(reader, helm, runner));
  auto report = closure::to_json(proof);
  report["bundle"] = {{"name", reader.header().name},
                      {"version", reader.header().version},
                      {"signer", reader.signer().str()}};
  if (!options.report.empty()) {
    BP_CHECK(write_file_atomic(options.report, report.dump(2) + "\n"));
  }
  if (json) {
    fmt::print("{}\n", report.dump());
  } else {
    print_proof(proof);
  }
  if (proof.closed()) return 0;
  return fail(ErrorKind::not_found,
              fmt::format("{} images are asked for and are not in the bundle:\n{}",
                          proof.missing.size(), closure::missing_text(proof)),
              "make the bundle again with them");
}

void print_table(const bundle::Header& header) {
  std::unique_ptr<libscols_table, decltype(&scols_unref_table)> table(scols_new_table(),
                                                                      scols_unref_table);
  scols_table_enable_noencoding(table.get(), 1);
  scols_table_new_column(table.get(), "NAME", 0, 0);
  scols_table_new_column(table.get(), "VERSION", 0, 0);
  scols_table_new_column(table.get(), "DIGEST", 0, 0);
  scols_table_new_column(table.get(), "FROM", 0, SCOLS_FL_TRUNC);
  const auto add = [&](const std::string& name, const std::string& version, const Digest& digest,
                       const std::string& from) {
    auto* line = scols_table_new_line(table.get(), nullptr);
    scols_line_set_data(line, 0, name.c_str());
    scols_line_set_data(line, 1, version.c_str());
    scols_line_set_data(line, 2, digest.hex().substr(0, 12).c_str());
    scols_line_set_data(line, 3, from.c_str());
  };
  for (const auto& image : header.images) add(image.name, "", image.digest, image.provenance);
  for (const auto& artifact : header.artifacts) {
    add(artifact.name, artifact.version, artifact.digest, artifact.provenance);
  }
  scols_print_table(table.get());
}

Result<int> inspect(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  const auto& header = reader.header();
  if (json) {
    fmt::print("{}\n", summary(header, reader.file_size(), reader.signer()).dump());
    return 0;
  }
  fmt::print("bundle    {} {}\ncreated   {}\nsize      {}\nsigned by {}\n\n", header.name,
             header.version, format_rfc3339(header.created_at), format_bytes(reader.file_size()),
             reader.signer().fingerprint());
  std::fflush(stdout);
  print_table(header);
  return 0;
}

Result<int> verify(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  auto progress = make_console_progress();
  BP_CHECK(reader.verify(progress.get()));
  progress.reset();
  if (json) {
    fmt::print("{}\n", summary(reader.header(), reader.file_size(), reader.signer()).dump());
    return 0;
  }
  fmt::print("{}: {} blobs are as signed by {}\n", options.bundle,
             reader.header().entries.size() - 2, reader.signer().fingerprint());
  return 0;
}

struct Endpoint {
  Ipv4 address;
  std::uint16_t port = 0;
};

Result<Endpoint> parse_listen(const std::string& text) {
  const auto colon = text.rfind(':');
  Endpoint out;
  if (colon != std::string::npos) {
    const auto* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, out.port);
    auto address = Ipv4::parse(text.substr(0, colon));
    if (address && parsed.ec == std::errc{} && parsed.ptr == end) {
      out.address = *address;
      return out;
    }
  }
  return fail(ErrorKind::usage,
              fmt::format("'{}' is not an address to listen on (such as 127.0.0.1:5005)", text));
}

Result<int> serve(const BundleOptions& options) {
  BP_TRY(const auto where, parse_listen(options.listen));
  BP_TRY(const auto keys, read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  BP_TRY(const auto registry, registry::BundleRegistry::create(reader));
  // Blocked before the threads start, so that only sigwait below takes them.
  sigset_t ending;
  ::sigemptyset(&ending);
  ::sigaddset(&ending, SIGTERM);
  ::sigaddset(&ending, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  BP_TRY(const auto server,
         HttpServer::start(where.address, where.port, [&](const ServerRequest& request) {
           auto response = registry.handle(request);
           log::debug("{} {} {}", response.status, request.method, request.path);
           return response;
         }));
  log::info("serving {} ({} images) on {}:{}", options.bundle, reader.header().images.size(),
            where.address.str(), server->port());
  sd_notify(0, "READY=1");
  int signal = 0;
  ::sigwait(&ending, &signal);
  sd_notify(0, "STOPPING=1");
  return 0;
}

using Options = std::shared_ptr<BundleOptions>;

void add_create(CLI::App& bundle, const Options& options, Invocation& invocation) {
  auto* command = bundle.add_subcommand("create", "Make a bundle from a specification");
  command->add_option("-f,--file", options->spec, "Specification (kind: Bundle)")->required();
  command->add_option("--root", options->root,
                      "Folder that its paths are relative to (default: beside it)");
  command->add_option("-o,--output", options->output, "Bundle to write")->required();
  command->add_option("--key", options->key, "Secrets file of the site, or an Ed25519 key in PEM")
      ->required();
  command->add_option("--created", options->created,
                      "Creation time, RFC 3339 (default: SOURCE_DATE_EPOCH, or now)");
  command->add_option(
      "--lock", options->lock,
      "Take only what it says (default: the .lock beside the specification, if any)");
  command->add_option("--helm", options->helm,
                      "Helm to render charts with (default: the payload's, else the one in PATH)");
  command->footer(
      "Example:\n  bedplate bundle create -f bundle.yaml -o site.bundle --key "
      "site.secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return create(*options, invocation.json); };
  });
}

void add_resolve(CLI::App& bundle, const Options& options, Invocation& invocation) {
  auto* command =
      bundle.add_subcommand("resolve", "Write down what a specification means today (bundle.lock)");
  command->add_option("-f,--file", options->spec, "Specification (kind: Bundle)")->required();
  command->add_option("--root", options->root,
                      "Folder that its paths are relative to (default: beside it)");
  command->add_option("-o,--output,--lock", options->lock,
                      "Lock to write (default: beside the specification)");
  command->add_option("--helm", options->helm, "Helm to fetch charts with");
  command->footer(
      "Fetches manifests, no layers. `create` then takes exactly that.\n"
      "Example:\n  bedplate bundle resolve -f bundle.yaml && git diff bundle.lock");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return resolve(*options, invocation.json); };
  });
}

void add_bundle_argument(CLI::App& command, const Options& options, bool positional) {
  command.add_option(positional ? "bundle" : "--bundle", options->bundle, "Bundle file")
      ->required();
  command
      .add_option("--trust,--key", options->trust,
                  "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
                  "or a file with a key per line; may be repeated")
      ->required();
}

}  // namespace

void add_bundle_commands(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<BundleOptions>();
  auto* bundle = app.add_subcommand("bundle", "Make, check and serve the one file with everything");
  bundle->require_subcommand(1);
  add_create(*bundle, options, invocation);
  add_resolve(*bundle, options, invocation);
  add_images_command(*bundle, invocation);

  auto* inspect_command = bundle->add_subcommand("inspect", "List what a bundle holds");
  add_bundle_argument(*inspect_command, options, true);
  inspect_command->footer("Example:\n  bedplate bundle inspect site.bundle --trust site.secrets");
  inspect_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return inspect(*options, invocation.json); };
  });

  auto* verify_command =
      bundle->add_subcommand("verify", "Check the signature and every byte of a bundle");
  add_bundle_argument(*verify_command, options, true);
  verify_command->footer("Example:\n  bedplate bundle verify site.bundle --trust site.secrets");
  verify_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return verify(*options, invocation.json); };
  });

  auto* prove_command = bundle->add_subcommand(
      "prove", "Prove that every image which charts and kubeadm ask for is in a bundle");
  add_bundle_argument(*prove_command, options, true);
  prove_command->add_option("--report", options->report, "Write what was found as JSON");
  prove_command->add_option("--helm", options->helm, "Helm, for bundles that carry none");
  prove_command->footer(
      "Needs no network.\nExample:\n  bedplate bundle prove site.bundle --trust site.secrets "
      "--report proof.json");
  prove_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return prove(*options, invocation.json); };
  });

  auto* serve_command = bundle->add_subcommand("serve", "Serve a bundle as a read-only registry");
  add_bundle_argument(*serve_command, options, false);
  serve_command->add_option("--listen", options->listen, "Address and port")->capture_default_str();
  serve_command->footer(
      "Example:\n  bedplate bundle serve --bundle site.bundle --listen "
      "127.0.0.1:5005 --trust site.yaml");
  serve_command->callback(
      [options, &invocation] { invocation.action = [options] { return serve(*options); }; });
}

}  // namespace bedplate
