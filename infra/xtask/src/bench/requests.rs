//! Whole requests: our server and the replaced service's shape, all running, loaded in turn.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::report::{ratio, rows, time};
use super::server::{Place, Server};
use super::{BLAS, Bench, MODERN, OURS, PEER, answer_of, median};

/// How servers run while they are loaded.
struct Setting {
    name: &'static str,
    min_size: u32,
    place: Place,
    concurrency: &'static [usize],
}

const ONE_CORE: &str = "one core, faces from 40 px";
const ALL_CORES: &str = "all cores, faces from 40 px";
const SETTINGS: [Setting; 3] = [
    Setting { name: "one core, faces from 80 px", min_size: 80, place: Place::Core(0), concurrency: &[1] },
    Setting { name: ONE_CORE, min_size: 40, place: Place::Core(0), concurrency: &[1] },
    Setting { name: ALL_CORES, min_size: 40, place: Place::AllCores, concurrency: &[1, 2, 8] },
];

/// Latencies, rates, processor time and memory of all sides at each setting, and what two cores give.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let (rounds, seconds) = if bench.quick { (1, "3") } else { (2, "5") };
    let mut rows = Vec::new();
    for setting in &SETTINGS {
        let sides = [OURS].into_iter().chain(bench.peers().map(|(name, _)| name)).chain([MODERN]);
        let mut servers = Vec::new();
        for side in sides {
            servers.push((side, Server::start(bench, side, setting.place, setting.min_size)?, Vec::new()));
        }
        for &concurrency in setting.concurrency {
            let arguments = ["--seconds", seconds, "--concurrency", &concurrency.to_string()];
            for _ in 0..rounds {
                for (side, server, runs) in &mut servers {
                    let run = server.load(bench, "/recognize", setting.place == Place::Core(0), &arguments)?;
                    ensure!(run["failed"] == 0, "{side} failed at {}: {run}", setting.name);
                    runs.push(run);
                }
            }
            let mut row = json!({"name": setting.name, "concurrency": concurrency});
            for (side, _, runs) in &mut servers {
                row[*side] = summary(&std::mem::take(runs));
            }
            eprintln!("{row}");
            rows.push(row);
        }
    }
    Ok(json!({"rows": rows, "two_cores": two_cores(bench)?}))
}

/// How much more two processes of one thread do side by side than one does alone: what the machine gives, whatever the
/// server. Medians of pairs that take turns.
fn two_cores(bench: &Bench) -> Result<Value> {
    let (rounds, seconds) = if bench.quick { (2, "1") } else { (5, "2") };
    let frame = bench.frame("face-640x480.jpg");
    let spin = |scan: bool| -> Result<f64> {
        let mut command = bench.measurer();
        command.args(["spin", "--seconds", seconds]);
        if scan {
            command.arg("--frame").arg(&frame);
        }
        Ok(answer_of(&mut command)?.as_f64().unwrap_or(f64::NAN))
    };
    let mut gains = json!({});
    for (name, scan) in [("arithmetic", false), ("scans", true)] {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let alone = spin(scan)?;
            let both = std::thread::scope(|threads| {
                let other = threads.spawn(|| spin(scan));
                let one = spin(scan)?;
                anyhow::Ok(one + other.join().expect("no thread panics")?)
            })?;
            ratios.push(both / alone);
        }
        gains[name] = json!(median(&ratios));
    }
    eprintln!("two cores give {gains}");
    Ok(gains)
}

/// The medians of the runs, and the last run's answer and counts.
fn summary(runs: &[Value]) -> Value {
    let mut summary = runs.last().cloned().unwrap_or_default();
    for name in ["p50_ms", "p95_ms", "p99_ms", "per_second", "cpu_ms"] {
        summary[name] = json!(median(&runs.iter().filter_map(|run| run[name].as_f64()).collect::<Vec<_>>()));
    }
    summary
}

pub(super) fn section(figures: &Value) -> String {
    let mut out = "`POST /recognize`, one face at 640 x 480, two people enrolled, closed loop. The peer is \
                   `tests/benchmarks/peer_server.py`, the modern stack `tests/benchmarks/modern_server.py`: FastAPI, OpenCV and ONNX \
                   Runtime with the service's own networks. Processor time is the server's, a request. Ratios say how many times better \
                   ours is.\n\n\
                   | setting | clients | side | requests/s | p50 ms | p95 ms | p99 ms | processor ms | resident MiB |\n\
                   |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows(&figures["rows"]) {
        let (name, clients) = (row["name"].as_str().unwrap_or_default(), &row["concurrency"]);
        let of = |side: &str, name: &str| row[side][name].as_f64();
        for (side, title) in [(OURS, "ours"), (PEER, "peer"), (BLAS, "peer with OpenBLAS"), (MODERN, "modern stack")] {
            if row[side].is_null() {
                continue;
            }
            let number = |name: &str| time(of(side, name));
            out += &format!(
                "| {name} | {clients} | {title} | {} | {} | {} | {} | {} | {} (after {}) |\n",
                number("per_second"),
                number("p50_ms"),
                number("p95_ms"),
                number("p99_ms"),
                number("cpu_ms"),
                number("resident_mb"),
                row[side]["requests_so_far"]
            );
        }
        for (side, title) in [(PEER, "ratio"), (BLAS, "ratio, OpenBLAS"), (MODERN, "ratio, modern stack")] {
            if row[side].is_null() {
                continue;
            }
            let times = |name: &str| ratio(of(side, name), of(OURS, name));
            out += &format!(
                "| | | **{title}** | {} | {} | {} | {} | {} | {} |\n",
                ratio(of(OURS, "per_second"), of(side, "per_second")),
                times("p50_ms"),
                times("p95_ms"),
                times("p99_ms"),
                times("cpu_ms"),
                times("resident_mb")
            );
        }
    }
    let rate = |setting: &str, clients: u64| {
        let row = rows(&figures["rows"]).find(|row| row["name"] == setting && row["concurrency"] == clients)?;
        row[OURS]["per_second"].as_f64()
    };
    let gain = |name: &str| ratio(figures["two_cores"][name].as_f64(), Some(1.0));
    out + &format!(
        "\nOurs with 8 clients on all cores against one client on one core: {} times the requests a second. What the machine's \
         cores give at best: two processes of plain arithmetic side by side do {} times the work of one alone, two that scan this \
         frame on one thread each {} times. The clients take their part of the same cores.\n",
        ratio(rate(ALL_CORES, 8), rate(ONE_CORE, 1)),
        gain("arithmetic"),
        gain("scans")
    )
}
