//! Memory: both sides' servers after many requests, and what a function needs.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::report::{ratio, rows, time};
use super::server::{Place, Server};
use super::{Bench, OURS, PEER, answer_of, run_program};

/// What Lambda is given for one and for two virtual processors, in MB.
const FUNCTIONS: [(usize, u32); 2] = [(1, 1769), (2, 3538)];
/// The largest pictures that are taken.
const PICTURES: [(&str, &str); 3] = [
    ("largest.jpg", "JPEG"),
    ("largest-progressive.jpg", "progressive JPEG"),
    ("largest.png", "PNG of 16 bits with alpha"),
];

/// Resident memory of both servers, and of one process a function, job and picture.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    Ok(json!({"servers": servers(bench)?, "functions": functions(bench)?}))
}

/// Both servers at once, each on a core of its own: memory is measured, not time.
fn servers(bench: &Bench) -> Result<Value> {
    let requests = if bench.quick { "100" } else { "1000" };
    let side = |side: &str, core: usize| -> Result<Value> {
        let mut server = Server::start(bench, side, Place::Core(core), 40)?;
        let loaded = server.memory("VmRSS")?;
        let run = server.load(bench, "/recognize", false, &["--requests", requests, "--warmup", "1"])?;
        ensure!(run["failed"] == 0, "{side} failed: {run}");
        let figures = json!({
            "start_mb": loaded, "resident_mb": run["resident_mb"], "peak_mb": server.memory("VmHWM")?,
            "requests": run["requests"],
        });
        eprintln!("{side}: {figures}");
        Ok(figures)
    };
    std::thread::scope(|threads| {
        let peer = threads.spawn(|| side(PEER, 1));
        Ok(json!({OURS: side(OURS, 0)?, PEER: peer.join().expect("no thread panics")?}))
    })
}

fn functions(bench: &Bench) -> Result<Value> {
    // Students have four embeddings each.
    let students = if bench.quick { 10_000 } else { 100_000 };
    let gallery = bench.gallery(4 * students)?;
    let mut progressive = std::process::Command::new(&bench.peer);
    progressive.arg(bench.script("peer.py")).arg("progressive").arg(bench.frame("largest.jpg"));
    run_program(progressive.arg(bench.frame("largest-progressive.jpg")))?;
    let mut rows = Vec::new();
    for (threads, memory) in FUNCTIONS {
        for job in ["recognize", "enroll"] {
            for (file, picture) in PICTURES {
                let mut command = bench.measurer();
                command.args(["footprint", "--job", job, "--threads", &threads.to_string(), "--picture"]);
                command.arg(bench.frame(file));
                // An enrolment compares with nobody.
                if job == "recognize" {
                    command.arg("--gallery").arg(&gallery);
                }
                let mut row = answer_of(&mut command)?;
                row["function_mb"] = json!(memory);
                row["threads"] = json!(threads);
                row["job"] = json!(job);
                row["picture"] = json!(picture);
                eprintln!("{row}");
                rows.push(row);
            }
        }
    }
    Ok(json!({"students": students, "rows": rows}))
}

pub(super) fn section(figures: &Value) -> String {
    let servers = &figures["servers"];
    let of = |side: &str, name: &str| servers[side][name].as_f64();
    let mut out = format!(
        "Resident, one core each, faces from 40 px, after {} requests: ours {} MiB ({} before the first, {} at most), the peer's process {} \
         MiB ({} before the first, {} at most). The peer's over ours: {}.\n\n",
        servers[OURS]["requests"],
        time(of(OURS, "resident_mb")),
        time(of(OURS, "start_mb")),
        time(of(OURS, "peak_mb")),
        time(of(PEER, "resident_mb")),
        time(of(PEER, "start_mb")),
        time(of(PEER, "peak_mb")),
        ratio(of(PEER, "resident_mb"), of(OURS, "resident_mb"))
    );
    let functions = &figures["functions"];
    let rows_of = || rows(&functions["rows"]);
    let number = |row: &Value, name: &str| row[name].as_f64();
    if let Some(row) = rows_of().find(|row| row["job"] == "recognize") {
        let growth = number(row, "gallery_mib").unwrap_or(0.0) - number(row, "models_mib").unwrap_or(0.0);
        let embeddings = number(row, "embeddings").unwrap_or(f64::NAN);
        out += &format!(
            "What a function needs, by the same engine in a process of its own (without the runtime and the clients of AWS): the \
             models, {} students of four embeddings where it recognises ({:.0} MiB, {:.0} bytes an embedding), and one \
             picture of 50 megapixels, the largest that is taken.\n\n",
            functions["students"],
            growth,
            growth * f64::from(1 << 20) / embeddings
        );
    }
    out += "| function | threads | job | picture | with models MiB | with students MiB | peak MiB | of the function |\n\
            |---|---|---|---|---|---|---|---|\n";
    for row in rows_of() {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let part = number(row, "peak_mib").zip(number(row, "function_mb")).map(|(peak, all)| 100.0 * peak / all);
        out += &format!(
            "| {} MB | {} | {} | {} | {} | {} | {} | {} % |\n",
            row["function_mb"],
            row["threads"],
            text("job"),
            text("picture"),
            time(number(row, "models_mib")),
            if text("job") == "recognize" { time(number(row, "gallery_mib")) } else { String::new() },
            time(number(row, "peak_mib")),
            part.map_or_else(String::new, |part| format!("{part:.0}"))
        );
    }
    out
}
