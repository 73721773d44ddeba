//! A running server, ours or a peer's, that is loaded and looked at.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Bench, MODERN, OURS, PEER, answer_of, on_core, run_program};

/// Where a server runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On one core, with one thread.
    Core(usize),
    /// Wherever the system puts it, with its own choice of threads.
    AllCores,
}

impl Place {
    fn command(self, program: &Path) -> Command {
        match self {
            Self::Core(core) => on_core(core, program),
            Self::AllCores => Command::new(program),
        }
    }
}

/// A server, which ends with this.
pub(super) struct Server {
    child: Child,
    address: String,
    requests: u64,
}

/// The data folder of our server, with the two people that the peers know too.
pub(super) fn enrolled(bench: &Bench) -> Result<PathBuf> {
    let data = bench.work.join("data");
    let mut enroll = Command::new(bench.program("attendance"));
    run_program(enroll.arg("bulk-enroll").arg(known(bench)).arg("--data-dir").arg(&data).stdout(Stdio::null()))?;
    Ok(data)
}

fn known(bench: &Bench) -> PathBuf {
    bench.root.join("target/test-pictures/known")
}

impl Server {
    /// The server of this side, when it has said where it listens.
    pub(super) fn start(bench: &Bench, side: &str, place: Place, min_size: u32) -> Result<Self> {
        let mut command = match (side, &bench.blas) {
            (OURS, _) => {
                let mut command = place.command(&bench.program("attendance"));
                command.args(["serve", "--addr", "127.0.0.1:0", "--data-dir"]).arg(enrolled(bench)?);
                command.env("FACE_MIN_SIZE", min_size.to_string()).env("RUST_LOG", "warn");
                command
            }
            (MODERN, _) => {
                let mut command = place.command(&bench.peer);
                command.arg(bench.script("modern_server.py")).arg("--known").arg(known(bench));
                command.arg("--models").arg(bench.root.join("models")).args(["--min-size", &min_size.to_string()]);
                command
            }
            (side, blas) => {
                let python = if side == PEER { Some(&bench.peer) } else { blas.as_ref() };
                let mut command = place.command(python.context("a side is not there")?);
                let upsample = if min_size < 80 { "1" } else { "0" };
                command.arg(bench.script("peer_server.py")).args(["--upsample", upsample, "--known"]).arg(known(bench));
                command
            }
        };
        let mut child = command.stdout(Stdio::piped()).spawn().context("a server cannot be started")?;
        let output = child.stdout.take().context("a server has no output")?;
        let mut server = Self { child, address: String::new(), requests: 0 };
        let mut lines = BufReader::new(output).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains("http://")));
        let (_, address) = line.as_deref().and_then(|l| l.split_once("http://")).context("a server did not start")?;
        server.address = address.trim().to_owned();
        // What it says later must not stop it: somebody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// What the load says with these arguments, and what it cost the server: `cpu_ms` a request, `resident_mb` after it,
    /// `requests_so_far`. The clients stay off core 0 where they are told to.
    pub(super) fn load(&mut self, bench: &Bench, path: &str, off_core_0: bool, arguments: &[&str]) -> Result<Value> {
        let program = bench.program("attendance-bench");
        let mut command = if off_core_0 { on_core(1, &program) } else { Command::new(program) };
        command.args(["load", "--url", &format!("http://{}{path}", self.address), "--frame"]);
        command.arg(bench.frame("face-640x480.jpg")).args(arguments);
        let before = self.processor_ms()?;
        let mut report = answer_of(&mut command)?;
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        let requests = count("requests") + count("warmup") + count("failed");
        self.requests += requests;
        report["cpu_ms"] = json!((self.processor_ms()? - before) / requests.max(1) as f64);
        report["resident_mb"] = json!(self.memory("VmRSS")?);
        report["requests_so_far"] = json!(self.requests);
        Ok(report)
    }

    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What all its threads have computed.
    fn processor_ms(&self) -> Result<f64> {
        // In hundredths of a second: fields 14 and 15, counted after the name, which may hold spaces.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no process")?;
        Ok(fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() * 10.0)
    }

    /// A line of its status, in MiB: `VmRSS` is what is resident, `VmHWM` the most that ever was.
    pub(super) fn memory(&self, name: &str) -> Result<f64> {
        memory_of(self.id(), name)
    }
}

/// A line of a process's status, in MiB.
pub(super) fn memory_of(process: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no process")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is measured and nothing else; nobody waits for it to end well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
