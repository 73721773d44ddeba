//! Process starts: from nothing to the first recognised face, ours and theirs in turn.

use std::process::Stdio;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::report::{ratio, time};
use super::{Bench, OURS, PEER, median, on_core, run_program};

const IMPORT: &str = "import";

/// Median wall milliseconds of each.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let frame = bench.frame("face-640x480.jpg");
    let nobody = bench.work.join("nobody");
    std::fs::create_dir_all(&nobody)?;
    let mut commands = [
        (OURS, on_core(0, &bench.program("attendance"))),
        (IMPORT, on_core(0, &bench.peer)),
        (PEER, on_core(0, &bench.peer)),
    ];
    commands[0].1.args(["recognize", "--json", "--known"]).arg(&nobody).arg(&frame);
    commands[1].1.args(["-c", "import face_recognition"]);
    commands[2].1.arg(bench.script("peer.py")).arg("first").arg(&frame);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..if bench.quick { 3 } else { 9 } {
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

pub(super) fn section(figures: &Value) -> String {
    let start = |name: &str| figures[name].as_f64();
    format!(
        "From process start to the first recognised face of a 640 x 480 frame, one core, wall clock: ours {} ms; the peer \
         {} ms, of which importing `face_recognition` takes {} ms. Ours over that import: {}.\n",
        time(start(OURS)),
        time(start(PEER)),
        time(start(IMPORT)),
        ratio(start(OURS), start(IMPORT))
    )
}
