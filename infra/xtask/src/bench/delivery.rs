//! The time from a posted frame to the Attendance API.

use anyhow::Result;
use serde_json::{Value, json};

use super::report::{rows, time};
use super::{Bench, answers_of};

/// What `attendance-bench delivery` measures.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let mut command = bench.measurer();
    command.args(["delivery", "--min-size", "40", "--frames", if bench.quick { "20" } else { "100" }, "--program"]);
    command.arg(bench.program("attendance")).arg("--frame").arg(bench.frame("face-640x480.jpg"));
    Ok(json!({"min_size": 40, "rows": answers_of(&mut command)?}))
}

pub(super) fn section(figures: &Value) -> String {
    let mut out = format!(
        "One camera posts frames of 640 x 480 with one face, one after the other, to a server on all cores (faces from {} px), beside other \
         clients that post without a pause. Milliseconds from the post to the signed event at a receiver, and to the answer.\n\n\
         | other clients | frames | frames/s in all | event p50 | p95 | most | answer p50 | p95 | most |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        figures["min_size"]
    );
    for row in rows(&figures["rows"]) {
        let at = |what: &str, quantile: &str| time(row[what][quantile].as_f64());
        out += &format!(
            "| {} | {} | {}",
            row["load_clients"],
            row["frames"],
            time(row["frames_per_second_in_all"].as_f64())
        );
        for what in ["to_receiver_ms", "to_answer_ms"] {
            out += &format!(" | {} | {} | {}", at(what, "p50"), at(what, "p95"), at(what, "max"));
        }
        out += " |\n";
    }
    out
}
