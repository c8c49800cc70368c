#include "airgap-bundle/registry/serve_command.hpp"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "airgap-bundle/registry/server_log.hpp"
#include "airgap-bundle/registry/server_metrics.hpp"
#include "airgap-bundle/registry/server_set.hpp"
#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/http_server.hpp"
#include "core/log.hpp"
#include "core/text.hpp"

namespace bedplate {
namespace {

/// Files that are open besides connections: bundles, logs, libraries.
constexpr std::uint64_t other_files = 256;

struct ServeOptions {
  registry::BundleSource source;
  std::string listen = "127.0.0.1:5005";
  std::string metrics;
  std::string access_log;
  std::string tls_certificate;
  std::string tls_key;
  unsigned connections = ServerOptions{}.most_connections;
};

struct Endpoint {
  Ipv4 address;
  std::uint16_t port = 0;
};

Result<Endpoint> parse_listen(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon != std::string::npos) {
    const auto port = parse_unsigned<std::uint16_t>(std::string_view(text).substr(colon + 1));
    const auto address = Ipv4::parse(text.substr(0, colon));
    if (address && port) return Endpoint{*address, *port};
  }
  return fail(ErrorKind::usage,
              fmt::format("'{}' is not an address to listen on (such as 127.0.0.1:5005)", text));
}

/// The sockets that systemd has opened for us (sd_listen_fds(3)), by what they are for.
struct Activation {
  std::vector<UniqueFd> registry;
  std::vector<UniqueFd> metrics;  ///< FileDescriptorName=metrics
};

Result<Activation> inherited_sockets() {
  Activation out;
  char** raw = nullptr;
  const int count = sd_listen_fds_with_names(1, &raw);
  if (count < 0) return fail(system_error(-count, "cannot take over the sockets of systemd"));
  for (int i = 0; i < count; ++i) {
    UniqueFd fd(SD_LISTEN_FDS_START + i);
    const std::string name = raw == nullptr || raw[i] == nullptr ? "" : raw[i];
    if (raw != nullptr) ::free(raw[i]);
    if (sd_is_socket(fd.get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
      return fail(ErrorKind::usage, "what systemd handed over is no listening stream socket",
                  "use ListenStream= and Accept=no in the socket unit");
    }
    (name == "metrics" ? out.metrics : out.registry).push_back(std::move(fd));
  }
  ::free(static_cast<void*>(raw));
  return out;
}

/// `bundle serve` while it runs.
class ServeProcess {
 public:
  explicit ServeProcess(const ServeOptions& options) : options_(options) {}

  Result<void> start() {
    BP_CHECK(block_signals());
    BP_TRY(set_, registry::ServedSet::open(options_.source));
    metrics_.reloaded(true, SystemClock().now());
    if (!options_.access_log.empty()) {
      BP_TRY(log_, registry::AccessLog::open(options_.access_log));
    }
    BP_TRY(auto sockets, inherited_sockets());
    BP_CHECK(start_registry(std::move(sockets.registry)));
    return start_metrics(std::move(sockets.metrics));
  }

  /// Until SIGTERM or SIGINT.
  void run() {
    notify("READY=1");
    while (true) {
      int signal = 0;
      ::sigwait(&signals_, &signal);
      if (signal != SIGHUP) break;
      reload();
    }
    sd_notify(0, "STOPPING=1");
  }

 private:
  /// Before any thread starts, so that only sigwait takes them.
  Result<void> block_signals() {
    ::sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals_, signal);
    const int failed = ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    if (failed != 0) return fail(system_error(failed, "cannot block signals"));
    return {};
  }

  Result<ServerTls> read_tls() const {
    ServerTls tls;
    BP_TRY(tls.certificate_pem, read_file(options_.tls_certificate, 1U << 20));
    BP_TRY(tls.private_key_pem, read_file(options_.tls_key, 1U << 20));
    return tls;
  }

  bool has_tls() const { return !options_.tls_certificate.empty(); }

  Result<void> start_registry(std::vector<UniqueFd> sockets) {
    ServerOptions server;
    server.most_connections = options_.connections;
    const auto files = raise_open_files(options_.connections + other_files);
    if (files < options_.connections + other_files) {
      server.most_connections =
          static_cast<unsigned>(files > 2 * other_files ? files - other_files : files / 2);
      log::warning("only {} connections at once: this process may open {} files (LimitNOFILE=)",
                   server.most_connections, files);
    }
    if (has_tls()) {
      BP_TRY(server.tls, read_tls());
    }
    server.on_done = [this](const ServerRecord& record) {
      metrics_.count(record);
      if (log_) log_->write(record);
    };
    auto handler = [this](const ServerRequest& request) { return set_->handle(request); };
    if (sockets.empty()) {
      BP_TRY(const auto where, parse_listen(options_.listen));
      BP_TRY(server_, HttpServer::start(where.address, where.port, handler, std::move(server)));
      where_ = fmt::format("{}:{}", where.address.str(), server_->port());
    } else {
      BP_TRY(server_, HttpServer::start(std::move(sockets), handler, std::move(server)));
      where_ = server_->port() == 0 ? "an inherited socket"
                                    : fmt::format("inherited port {}", server_->port());
    }
    log::info("serving {} over {} on {}", summary(), has_tls() ? "HTTPS" : "HTTP", where_);
    return {};
  }

  Result<void> start_metrics(std::vector<UniqueFd> sockets) {
    if (options_.metrics.empty() && sockets.empty()) return {};
    ServerOptions server;
    server.threads = 1;
    server.most_connections = 64;
    auto handler = [this](const ServerRequest& request) { return metrics_page(request); };
    if (sockets.empty()) {
      BP_TRY(const auto where, parse_listen(options_.metrics));
      BP_TRY(metrics_server_, HttpServer::start(where.address, where.port, handler, server));
      log::info("metrics on http://{}:{}/metrics", where.address.str(), metrics_server_->port());
    } else {
      BP_TRY(metrics_server_, HttpServer::start(std::move(sockets), handler, server));
    }
    return {};
  }

  ServerResponse metrics_page(const ServerRequest& request) const {
    ServerResponse response;
    response.lines = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    if (request.method != "GET" && request.method != "HEAD") {
      response.status = 405;
      response.headers.emplace_back("Allow", "GET, HEAD");
    } else if (request.path == "/metrics") {
      response.body = metrics_.text(server_->statistics(), set_->current()->content(),
                                    log_ ? log_->dropped() : 0);
    } else {
      response.status = 404;
      response.body = "see /metrics\n";
    }
    return response;
  }

  void reload() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000);
    bool success = true;
    const auto check = [&](const Result<void>& result, std::string_view what) {
      if (result) return;
      success = false;
      log::error("{} stays as it was: {}", what, result.error().render());
    };
    check(set_->reload(), "what is served");
    if (has_tls()) {
      const auto tls = read_tls();
      check(tls ? server_->set_tls(*tls) : fail(tls.error()), "the TLS certificate");
    }
    if (log_) check(log_->reopen(), "the access log");
    metrics_.reloaded(success, SystemClock().now());
    log::info("serving {} on {} {} the reload", summary(), where_, success ? "after" : "despite");
    notify("READY=1");
  }

  std::string summary() const {
    const auto registry = set_->current();
    const auto& content = registry->content();
    return fmt::format("{} bundle{} with {} blobs", content.bundle_count(),
                       content.bundle_count() == 1 ? "" : "s", content.blob_count());
  }

  void notify(std::string_view state) const {
    sd_notify(0, fmt::format("{}\nSTATUS={} on {}", state, summary(), where_).c_str());
  }

  const ServeOptions& options_;
  sigset_t signals_{};
  registry::Metrics metrics_;
  std::unique_ptr<registry::ServedSet> set_;
  std::unique_ptr<registry::AccessLog> log_;
  std::string where_;
  std::unique_ptr<HttpServer> server_;  // behind what its threads use
  std::unique_ptr<HttpServer> metrics_server_;
};

Result<int> serve(const ServeOptions& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return fail(ErrorKind::usage, "--tls-cert and --tls-key belong together");
  }
  ServeProcess process(options);
  BP_CHECK(process.start());
  process.run();
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& bundle, Invocation& invocation) {
  auto options = std::make_shared<ServeOptions>();
  auto* command =
      bundle.add_subcommand("serve", "Serve one or more bundles as a read-only registry");
  auto* files =
      command->add_option("--bundle", options->source.files, "Bundle file; may be repeated");
  auto* folder = command->add_option("--bundles", options->source.folder,
                                     "Folder: every *.bundle in it is served");
  command
      ->add_option("--trust,--key", options->source.trust,
                   "Who may have signed them: a key (ed25519:…), a sealed site file, a secrets "
                   "file, or a file with a key per line; may be repeated")
      ->required();
  command
      ->add_option("--listen", options->listen,
                   "Address and port; unused when systemd hands a socket over")
      ->capture_default_str();
  command->add_option("--tls-cert", options->tls_certificate,
                      "Speak HTTPS: certificate with its chain, PEM");
  command->add_option("--tls-key", options->tls_key, "Its private key, PEM");
  command->add_option("--metrics", options->metrics,
                      "Address and port of Prometheus metrics, under /metrics");
  command->add_option("--access-log", options->access_log,
                      "File for a JSON line per request; - is standard output");
  command->add_option("--connections", options->connections, "How many may be open at once")
      ->check(CLI::Range(16U, 1'000'000U))
      ->capture_default_str();
  command->footer(
      "SIGHUP reads bundles, keys and certificate again and reopens the access log; transfers go "
      "on.\nExample:\n  bedplate bundle serve --bundle site.bundle --listen 127.0.0.1:5005 --trust "
      "site.yaml");
  command->callback([options, files, folder, &invocation] {
    if (files->empty() && folder->empty()) throw CLI::RequiredError("--bundle or --bundles");
    invocation.action = [options] { return serve(*options); };
  });
}

}  // namespace bedplate
