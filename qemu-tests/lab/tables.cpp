// The tables of a rehearsal, drawn by libsmartcols.

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <libsmartcols.h>

#include "qemu-tests/lab/report.hpp"

namespace bedplate::lab {
namespace {

class Table {
 public:
  Table(std::string heading, std::initializer_list<const char*> columns)
      : heading_(std::move(heading)), table_(scols_new_table(), scols_unref_table) {
    scols_table_set_column_separator(table_.get(), "  ");
    for (const char* name : columns) add_column(name, false);
  }

  void add_column(const std::string& name, bool right) {
    scols_table_new_column(table_.get(), name.c_str(), 0, right ? SCOLS_FL_RIGHT : 0);
  }

  void add_row(const std::vector<std::string>& cells) {
    auto* line = scols_table_new_line(table_.get(), nullptr);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      scols_line_set_data(line, i, cells[i].c_str());
    }
  }

  std::string str() {
    char* text = nullptr;
    std::string out = heading_.empty() ? "" : heading_ + "\n";
    if (scols_print_table_to_string(table_.get(), &text) == 0 && text != nullptr) out += text;
    std::free(text);
    return out + "\n";
  }

 private:
  std::string heading_;
  std::unique_ptr<libscols_table, void (*)(libscols_table*)> table_;
};

std::string cell(const Stage& stage) {
  const auto time = static_cast<double>((stage.ended - stage.began).count()) / 1000.0;
  switch (stage.state) {
    case Stage::State::running:
      return "runs";
    case Stage::State::done:
      return fmt::format("{:.1f}", time);
    case Stage::State::failed:
      return fmt::format("{:.1f} failed", time);
    case Stage::State::interrupted:
      return fmt::format("{:.1f} cut", time);
  }
  return {};
}

/// Times of stages of one name within a start are added up: a step may have been tried again.
std::string cell_of(const MachineReport& machine, const std::string& start,
                    const std::string& name) {
  std::optional<Stage> sum;
  for (const auto& stage : machine.stages) {
    if (stage.start != start || stage.name != name) continue;
    if (!sum) {
      sum = stage;
    } else if (stage.state != Stage::State::running) {
      sum->ended += stage.ended - stage.began;
      sum->state = stage.state;
    }
  }
  return sum ? cell(*sum) : "-";
}

using Row = std::pair<std::string, std::string>;

std::vector<Row> rows_of(const std::vector<MachineReport>& machines) {
  std::vector<Row> rows;
  for (const auto& machine : machines) {
    auto after = rows.begin();
    for (const auto& stage : machine.stages) {
      const Row row{stage.start, stage.name};
      const auto found = std::ranges::find(rows, row);
      after = found != rows.end() ? found : rows.insert(after, row);
      ++after;
    }
  }
  return rows;
}

}  // namespace

std::string stage_table(const std::vector<MachineReport>& machines) {
  const auto rows = rows_of(machines);
  std::vector<std::string> starts;
  for (const auto& [start, name] : rows) {
    if (std::ranges::find(starts, start) == starts.end()) starts.push_back(start);
  }
  std::string out;
  for (const auto& start : starts) {
    Table table(fmt::format("{} (seconds)", start), {"STAGE"});
    for (const auto& machine : machines) table.add_column(machine.name, true);
    for (const auto& [row_start, name] : rows) {
      if (row_start != start) continue;
      std::vector<std::string> cells{name};
      for (const auto& machine : machines) cells.push_back(cell_of(machine, start, name));
      table.add_row(cells);
    }
    out += table.str() + "\n";
  }
  return out;
}

std::string phase_table(const std::vector<PhaseTime>& phases) {
  Table table("the rehearsal", {"PART"});
  table.add_column("SECONDS", true);
  Milliseconds total{0};
  for (const auto& phase : phases) {
    total += phase.took;
    table.add_row(
        {phase.name, fmt::format("{:.1f}", static_cast<double>(phase.took.count()) / 1e3)});
  }
  table.add_row({"all", fmt::format("{:.1f}", static_cast<double>(total.count()) / 1e3)});
  return table.str();
}

std::string node_table(const std::vector<NodeView>& nodes) {
  Table table("", {"NODE", "STATUS", "KUBELET", "RUNTIME", "ADDRESS"});
  for (const auto& node : nodes) {
    table.add_row(
        {node.name, node.ready ? "Ready" : "NotReady", node.kubelet, node.runtime, node.address});
  }
  return table.str();
}

std::string pod_table(const std::vector<PodView>& pods) {
  Table table("", {"NAMESPACE", "POD", "READY", "STATUS", "RESTARTS", "NODE"});
  for (const auto& pod : pods) {
    table.add_row({pod.space, pod.name, fmt::format("{}/{}", pod.ready, pod.containers), pod.phase,
                   std::to_string(pod.restarts), pod.node});
  }
  return table.str();
}

}  // namespace bedplate::lab
