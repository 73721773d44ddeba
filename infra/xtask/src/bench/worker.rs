//! Long-lived processes, one ours and the others peers, which are asked in turn.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Bench, OURS, median, on_core};

/// What is asked of the sides, each by its worker's name.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) requests: Vec<Request>,
}

/// A request to a worker, and the name of its column.
pub(super) struct Request {
    pub(super) column: &'static str,
    pub(super) worker: &'static str,
    pub(super) request: Value,
}

impl Request {
    pub(super) fn to(worker: &'static str, request: Value) -> Self {
        Self { column: worker, worker, request }
    }
}

/// The workers of all sides.
pub(super) struct Workers(Vec<Worker>);

/// A process that answers each line with one.
struct Worker {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workers {
    pub(super) fn start(bench: &Bench) -> Result<Self> {
        let mut workers = vec![Worker::start(OURS, on_core(0, &bench.program("attendance-bench")).arg("worker"))?];
        for (name, python) in bench.peers() {
            workers.push(Worker::start(name, on_core(0, python).arg(bench.script("peer.py")).arg("worker"))?);
        }
        Ok(Self(workers))
    }

    /// The row with the medians of every column; the sides take turns.
    pub(super) fn measure(&mut self, row: &Row, rounds: usize, seconds: f64) -> Result<Value> {
        let mut replies: Vec<Vec<Value>> = row.requests.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (Request { worker, request, .. }, replies) in row.requests.iter().zip(&mut replies) {
                let worker = self.0.iter_mut().find(|w| w.name == *worker);
                replies.push(worker.context("a side is not there")?.ask(request, seconds)?);
            }
        }
        let mut measured = json!({"name": row.name});
        let mut line = format!("{}:", row.name);
        for (Request { column, .. }, replies) in row.requests.iter().zip(&replies) {
            measured[*column] = summary(replies);
            line += &format!("  {column} {:.3}", measured[*column]["cpu_ms"].as_f64().unwrap_or(f64::NAN));
        }
        eprintln!("{line}");
        Ok(measured)
    }

    pub(super) fn end(self) -> Result<()> {
        self.0.into_iter().try_for_each(Worker::end)
    }
}

impl Worker {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let program = Path::new(command.get_program()).to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("a worker has no pipes")?;
        Ok(Self { name, child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, request: &Value, seconds: f64) -> Result<Value> {
        let mut request = request.clone();
        request["seconds"] = json!(seconds);
        request["least"] = json!(2);
        writeln!(self.input, "{request}").with_context(|| format!("{} ended", self.name))?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "{} ended at {request}", self.name);
        Ok(serde_json::from_str(&line)?)
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        ensure!(status.success(), "{} failed", self.name);
        Ok(())
    }
}

/// Medians over all rounds, and the answer.
fn summary(replies: &[Value]) -> Value {
    let all = |name: &str| -> Vec<f64> {
        replies.iter().flat_map(|r| r[name].as_array().into_iter().flatten().filter_map(Value::as_f64)).collect()
    };
    let (wall, cpu) = (all("wall_ms"), all("cpu_ms"));
    json!({
        "cpu_ms": median(&cpu), "wall_ms": median(&wall), "least_cpu_ms": cpu.iter().copied().fold(f64::NAN, f64::min),
        "samples": cpu.len(), "answer": replies[0]["answer"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_takes_the_middle_of_all_rounds() {
        let replies = [
            json!({"wall_ms": [2.0, 4.0], "cpu_ms": [1.0, 9.0], "answer": 7}),
            json!({"wall_ms": [3.0], "cpu_ms": [5.0], "answer": 8}),
        ];
        let summary = summary(&replies);
        assert_eq!((&summary["wall_ms"], &summary["cpu_ms"]), (&json!(3.0), &json!(5.0)));
        assert_eq!((&summary["answer"], &summary["samples"]), (&json!(7), &json!(3)));
        assert_eq!(summary["least_cpu_ms"], json!(1.0));
    }
}
