//! Stages in two long-lived processes, one ours and one the peer's, which are asked in turn.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Places, median, on_one_core, run_program};

/// A process that answers each line with one.
struct Worker {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What is asked of a side.
struct Row {
    name: String,
    ours: Value,
    theirs: Vec<(&'static str, Value)>,
}

const PEER: &str = "peer";

/// The medians of every stage, ours and theirs, in the order of the table.
pub(super) fn measure(places: &Places, quick: bool) -> Result<Value> {
    let (rounds, seconds) = if quick { (2, 0.1) } else { (3, 0.3) };
    let mut ours = Worker::start("ours", on_one_core(&places.program("attendance-bench")).arg("worker"))?;
    let script = places.script("peer.py");
    let mut theirs = Worker::start(PEER, on_one_core(&places.python).arg(script).arg("worker"))?;
    let mut rows = Vec::new();
    for row in rows_to_measure(places, quick)? {
        let mut sides: Vec<(&str, Vec<Value>)> = vec![("ours", Vec::new())];
        sides.extend(row.theirs.iter().map(|(name, _)| (*name, Vec::new())));
        for _ in 0..rounds {
            sides[0].1.push(ours.ask(&row.ours, seconds)?);
            for (i, (_, request)) in row.theirs.iter().enumerate() {
                sides[i + 1].1.push(theirs.ask(request, seconds)?);
            }
        }
        let mut measured = json!({"name": row.name});
        for (side, replies) in sides {
            measured[side] = summary(&replies);
        }
        eprintln!("{}", line(&measured));
        rows.push(measured);
    }
    ours.end()?;
    theirs.end()?;
    Ok(Value::Array(rows))
}

/// Process starts: from nothing to the first recognised face, ours and theirs in turn.
pub(super) fn starts(places: &Places, quick: bool) -> Result<Value> {
    let frame = places.frame("face-640x480");
    let nobody = places.work.join("nobody");
    std::fs::create_dir_all(&nobody)?;
    let mut commands = [
        ("ours", on_one_core(&places.program("attendance"))),
        ("import", on_one_core(&places.python)),
        (PEER, on_one_core(&places.python)),
    ];
    commands[0].1.args(["recognize", "--json", "--known"]).arg(&nobody).arg(&frame);
    commands[1].1.args(["-c", "import face_recognition"]);
    commands[2].1.arg(places.script("peer.py")).arg("first").arg(&frame);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..if quick { 3 } else { 7 } {
        for ((_, command), times) in commands.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            run_program(command.stdout(Stdio::null()))?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    let medians: serde_json::Map<_, _> =
        commands.iter().zip(&times).map(|((name, _), times)| ((*name).to_owned(), json!(median(times)))).collect();
    eprintln!("start to first face, ms: {}", json!(medians));
    Ok(medians.into())
}

fn rows_to_measure(places: &Places, quick: bool) -> Result<Vec<Row>> {
    let frames: &[&str] = if quick {
        &["face-640x480", "group-800x600"]
    } else {
        &["face-640x480", "face-1280x720", "face-1920x1080", "group-800x600", "empty-640x480"]
    };
    let on = |frame: &str, stage: &str| json!({"stage": stage, "frame": places.frame(frame)});
    let both = |name: String, request: Value| Row { name, ours: request.clone(), theirs: vec![(PEER, request)] };
    let mut rows = Vec::new();
    rows.push(Row { name: "load models".into(), ours: json!({"stage": "load"}), theirs: Vec::new() });
    for frame in frames {
        rows.push(both(format!("decode {frame}"), on(frame, "decode")));
    }
    for min_size in [80, 40] {
        for frame in frames {
            let mut request = on(frame, "detect");
            request["min_size"] = json!(min_size);
            rows.push(both(format!("detect (HOG) from {min_size} px, {frame}"), request));
        }
    }
    for (choice, name) in [("cnn_fast", "fast"), ("cnn_exact", "exact")] {
        let mut request = on("face-640x480", "detect");
        request["detector"] = json!(choice);
        // The peer has one mode, and one sample of it takes seconds.
        let theirs = if choice == "cnn_exact" && !quick { vec![(PEER, request.clone())] } else { Vec::new() };
        rows.push(Row { name: format!("detect (CNN, {name}) from 80 px, face-640x480"), ours: request, theirs });
    }
    for stage in ["landmarks", "align"] {
        rows.push(both(format!("{stage}, one face"), on("face-640x480", stage)));
    }
    let mut runtime = on("face-640x480", "embed_onnxruntime");
    runtime["model"] = json!(places.root.join("models/face_embedder.onnx"));
    let embed = on("face-640x480", "embed");
    let theirs = vec![(PEER, embed.clone()), ("onnxruntime", runtime)];
    rows.push(Row { name: "embed, one face".into(), ours: embed, theirs });
    for min_size in [80, 40] {
        for frame in ["face-640x480", "group-800x600"] {
            let mut request = on(frame, "scan");
            request["min_size"] = json!(min_size);
            rows.push(both(format!("whole scan from {min_size} px, {frame}"), request));
        }
    }
    let sizes: &[usize] = if quick { &[1_000, 100_000] } else { &[1_000, 100_000, 1_000_000] };
    for &count in sizes {
        let file = gallery(places, count)?;
        let request = |stage: &str| json!({"stage": stage, "gallery": file});
        let mut theirs = vec![("faiss", request("match_faiss"))];
        // A million would take the peer gigabytes.
        if count <= 100_000 {
            theirs.insert(0, (PEER, request("match_numpy")));
        }
        rows.push(Row { name: format!("match among {count}"), ours: request("match"), theirs });
    }
    Ok(rows)
}

/// The file with this many embeddings.
fn gallery(places: &Places, count: usize) -> Result<std::path::PathBuf> {
    let file = places.work.join(format!("gallery-{count}.f32"));
    let mut command = Command::new(places.program("attendance-bench"));
    run_program(command.args(["gallery", "--count", &count.to_string(), "--into"]).arg(&file))?;
    Ok(file)
}

impl Worker {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{:?} cannot be started", command.get_program()))?;
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

fn line(row: &Value) -> String {
    let mut line = format!("{}:", row["name"].as_str().unwrap_or_default());
    let time = |side: &str| row[side]["cpu_ms"].as_f64();
    for side in ["ours", PEER, "faiss", "onnxruntime"] {
        if let Some(ms) = time(side) {
            line += &format!("  {side} {ms:.3}");
        }
    }
    line
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
