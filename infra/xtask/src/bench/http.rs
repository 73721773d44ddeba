//! Whole requests: our server and the replaced service's shape, both running, loaded in turn.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Places, median, on_one_core, run_program};

/// How servers run while they are loaded.
struct Setting {
    name: &'static str,
    min_size: u32,
    one_core: bool,
    concurrency: &'static [usize],
}

const SETTINGS: [Setting; 3] = [
    Setting { name: "one core, faces from 80 px", min_size: 80, one_core: true, concurrency: &[1] },
    Setting { name: "one core, faces from 40 px", min_size: 40, one_core: true, concurrency: &[1] },
    Setting { name: "all cores, faces from 40 px", min_size: 40, one_core: false, concurrency: &[1, 2, 8] },
];

struct Server {
    child: Child,
    url: String,
    requests: u64,
}

/// Latencies, rates, processor time and memory of both sides at each setting.
pub(super) fn measure(places: &Places, quick: bool) -> Result<Value> {
    let (rounds, seconds) = if quick { (1, 3.0) } else { (2, 5.0) };
    let data = places.work.join("data");
    let known = places.root.join("target/test-pictures/known");
    let mut enroll = Command::new(places.program("attendance"));
    run_program(enroll.arg("bulk-enroll").arg(&known).arg("--data-dir").arg(&data).stdout(Stdio::null()))?;

    let mut rows = Vec::new();
    for setting in &SETTINGS {
        let mut servers = [("ours", ours(places, setting, &data)?), ("peer", peer(places, setting, &known)?)];
        for &concurrency in setting.concurrency {
            let mut row = json!({"name": setting.name, "concurrency": concurrency});
            let mut runs = [const { Vec::new() }; 2];
            for _ in 0..rounds {
                for ((_, server), runs) in servers.iter_mut().zip(&mut runs) {
                    runs.push(server.load(places, setting, concurrency, seconds)?);
                }
            }
            for ((side, _), runs) in servers.iter().zip(&runs) {
                row[*side] = summary(runs);
            }
            eprintln!("{row}");
            rows.push(row);
        }
    }
    Ok(Value::Array(rows))
}

fn ours(places: &Places, setting: &Setting, data: &PathBuf) -> Result<Server> {
    let program = places.program("attendance");
    let mut command = if setting.one_core { on_one_core(&program) } else { Command::new(program) };
    command.args(["serve", "--addr", "127.0.0.1:0", "--data-dir"]).arg(data);
    Server::start(command.env("FACE_MIN_SIZE", setting.min_size.to_string()).env("RUST_LOG", "warn"))
}

fn peer(places: &Places, setting: &Setting, known: &PathBuf) -> Result<Server> {
    let mut command = if setting.one_core { on_one_core(&places.python) } else { Command::new(&places.python) };
    let upsample = if setting.min_size < 80 { "1" } else { "0" };
    command.arg(places.script("peer_server.py")).args(["--upsample", upsample, "--known"]).arg(known);
    Server::start(&mut command)
}

impl Server {
    /// The server, when it has said where it listens.
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("a server cannot be started")?;
        let output = child.stdout.take().context("a server has no output")?;
        let mut server = Self { child, url: String::new(), requests: 0 };
        let mut lines = BufReader::new(output).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains("http://")));
        let (_, address) = line.as_deref().and_then(|l| l.split_once("http://")).context("a server did not start")?;
        server.url = format!("http://{address}/recognize");
        // What it says later must not stop it: somebody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    fn load(&mut self, places: &Places, setting: &Setting, concurrency: usize, seconds: f64) -> Result<Value> {
        let program = places.program("attendance-bench");
        // The clients stay off the server's core where there is another.
        let two_cores = std::thread::available_parallelism().is_ok_and(|n| n.get() > 1);
        let mut command = if cfg!(target_os = "linux") && setting.one_core && two_cores {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", "1"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["load", "--url", &self.url, "--frame"]).arg(places.frame("face-640x480"));
        command.args(["--concurrency", &concurrency.to_string(), "--seconds", &seconds.to_string()]);
        let before = self.processor_ms()?;
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the load on {} failed", self.url);
        let mut report: Value = serde_json::from_slice(&output.stdout)?;
        let requests = report["requests"].as_u64().unwrap_or(0) + report["warmup"].as_u64().unwrap_or(0);
        self.requests += requests;
        report["cpu_ms"] = json!((self.processor_ms()? - before) / requests.max(1) as f64);
        report["resident_mb"] = json!(self.resident_mb()?);
        report["requests_so_far"] = json!(self.requests);
        Ok(report)
    }

    /// What all its threads have computed.
    fn processor_ms(&self) -> Result<f64> {
        // In hundredths of a second: fields 14 and 15, counted after the name, which may hold spaces.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no process")?;
        Ok(fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() * 10.0)
    }

    fn resident_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no process")?;
        Ok(line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is measured and nothing else; nobody waits for it to end well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The medians of the runs, and the last run's answer and counts.
fn summary(runs: &[Value]) -> Value {
    let mut summary = runs.last().cloned().unwrap_or_default();
    for name in ["p50_ms", "p95_ms", "p99_ms", "per_second", "cpu_ms"] {
        summary[name] = json!(median(&runs.iter().filter_map(|run| run[name].as_f64()).collect::<Vec<_>>()));
    }
    summary
}
