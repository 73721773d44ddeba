//! Many requests of mixed pictures against one server, whose memory has to stay as it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Bench;
use super::report::{rows, time};
use super::server::{Place, Server, memory_of};

/// What is posted in turn, beside `face-640x480.jpg`.
const FRAMES: [&str; 5] =
    ["empty-640x480.jpg", "face-1280x720.jpg", "group-800x600.jpg", "face-640x480.jpg", "face-1920x1080.jpg"];
const REFUSED: [&str; 2] = ["truncated.jpg", "no-picture.txt"];
const SMALLEST_FACE: u32 = 80;
const CLIENTS: &str = "4";
const SAMPLE_EVERY: Duration = Duration::from_millis(200);
/// Parts of the run whose memory is told.
const PARTS: usize = 10;

/// The load's figures, and the resident memory of each tenth of the time.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let requests = if bench.quick { bench.soak.min(500) } else { bench.soak };
    ensure!(requests > 0, "a soak needs requests");
    let mut server = Server::start(bench, super::OURS, Place::AllCores, SMALLEST_FACE)?;
    let start = server.memory("VmRSS")?;
    let count = requests.to_string();
    let mut arguments = vec!["--requests", &count, "--concurrency", CLIENTS];
    let files: Vec<String> =
        FRAMES.iter().chain(&REFUSED).map(|name| bench.frame(name).display().to_string()).collect();
    for (i, file) in files.iter().enumerate() {
        arguments.extend([if i < FRAMES.len() { "--frame" } else { "--refused" }, file]);
    }
    let (process, done) = (server.id(), AtomicBool::new(false));
    let (samples, run) = std::thread::scope(|threads| {
        let samples = threads.spawn(|| {
            let (begin, mut samples) = (Instant::now(), Vec::new());
            while !done.load(Ordering::Relaxed) {
                samples.extend(memory_of(process, "VmRSS").map(|mib| (begin.elapsed().as_secs_f64(), mib)));
                std::thread::sleep(SAMPLE_EVERY);
            }
            samples
        });
        let run = server.load(bench, "/recognize/realtime", false, &arguments);
        done.store(true, Ordering::Relaxed);
        (samples.join().expect("no thread panics"), run)
    });
    let run = run?;
    ensure!(run["failed"] == 0, "some answers were not as they should be: {run}");
    let figures = json!({
        "requests": run["requests"], "failed": run["failed"], "per_second": run["per_second"], "p99_ms": run["p99_ms"],
        "start_mb": start, "peak_mb": server.memory("VmHWM")?, "parts": parts(&samples), "clients": CLIENTS,
    });
    eprintln!("{figures}");
    Ok(figures)
}

/// The mean and the most of each part of the time.
fn parts(samples: &[(f64, f64)]) -> Vec<Value> {
    let end = samples.last().map_or(0.0, |(at, _)| *at) + f64::EPSILON;
    let part = |part: usize| {
        let inside = |(at, _): &&(f64, f64)| (at / end * PARTS as f64) as usize == part;
        let of: Vec<f64> = samples.iter().filter(inside).map(|(_, mib)| *mib).collect();
        json!({"mean": of.iter().sum::<f64>() / of.len() as f64, "most": of.iter().copied().fold(f64::NAN, f64::max)})
    };
    (0..PARTS).map(part).collect()
}

pub(super) fn section(figures: &Value) -> String {
    let number = |value: &Value| time(value.as_f64());
    let mut out = format!(
        "{} answers to `POST /recognize/realtime` by one server on all cores (faces from {SMALLEST_FACE} px), {} clients, no pause: a face at \
         640 x 480, 1280 x 720 and 1920 x 1080, four faces, an empty scene, and among them a cut JPEG and a text file that have to be \
         refused. {} answers were not as they should be. {} requests a second, p99 {} ms. Resident memory {} MiB before the first, {} at \
         most; by tenths of the time:\n\n| |",
        figures["requests"],
        figures["clients"].as_str().unwrap_or_default(),
        figures["failed"],
        number(&figures["per_second"]),
        number(&figures["p99_ms"]),
        number(&figures["start_mb"]),
        number(&figures["peak_mb"])
    );
    let parts: Vec<&Value> = rows(&figures["parts"]).collect();
    out += &(1..=parts.len()).map(|n| format!(" {n} |")).collect::<String>();
    out += &format!("\n|---|{}", "---|".repeat(parts.len()));
    for name in ["mean", "most"] {
        out += &format!("\n| {name} MiB |");
        out += &parts.iter().map(|part| format!(" {} |", number(&part[name]))).collect::<String>();
    }
    let mean = |part: Option<&&Value>| part.and_then(|part| part["mean"].as_f64()).unwrap_or(f64::NAN);
    let (first, last) = (mean(parts.first()), mean(parts.last()));
    out + &format!(
        "\n\nFrom the first tenth to the last: {:+.1} MiB ({:+.1} %).\n",
        last - first,
        100.0 * (last / first - 1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_of_the_time_has_its_mean_and_its_most() {
        let samples: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), f64::from(n / 10))).collect();
        let parts = parts(&samples);
        assert_eq!(parts.len(), 10);
        assert_eq!((&parts[0]["mean"], &parts[9]["most"]), (&json!(0.0), &json!(9.0)));
    }
}
