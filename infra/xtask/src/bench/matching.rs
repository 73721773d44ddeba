//! The nearest of many embeddings, beside FAISS and the replaced service's numpy line.

use anyhow::Result;
use serde_json::{Value, json};

use super::report::{ratio, rows, time};
use super::worker::{Request, Row, Workers};
use super::{Bench, OURS, PEER};

const FAISS: &str = "faiss";
const NUMPY: &str = "numpy";

/// The medians for each size and kind of probe.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let sizes: &[usize] = if bench.quick { &[1_000, 100_000] } else { &[1_000, 100_000, 1_000_000] };
    let mut workers = Workers::start(bench)?;
    let mut measured = Vec::new();
    for &count in sizes {
        let gallery = bench.gallery(count)?;
        for probes in ["enrolled", "strangers"] {
            let file = format!("{}.{probes}", gallery.display());
            let request = |stage: &str| json!({"stage": stage, "gallery": gallery, "probes": file});
            let row = Row {
                name: format!("{count}, {probes}"),
                requests: vec![
                    Request { column: OURS, worker: OURS, request: request("match") },
                    Request { column: FAISS, worker: PEER, request: request("match_faiss") },
                    Request { column: NUMPY, worker: PEER, request: request("match_numpy") },
                ],
            };
            let mut row = workers.measure(&row, 3, 0.3)?;
            row["count"] = json!(count);
            row["probes"] = json!(probes);
            measured.push(row);
        }
    }
    workers.end()?;
    Ok(Value::Array(measured))
}

pub(super) fn section(figures: &Value) -> String {
    let mut out = "The nearest of all embeddings (four a student), one thread, one probe at a time, processor milliseconds, medians. \
                   FAISS is `IndexFlatL2`; numpy is `face_recognition.face_distance` and `argmin`, as the replaced service has it.\n\n\
                   | embeddings | probes | ours | FAISS | ratio | numpy | ratio |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows(figures) {
        let ms = |side: &str| row[side]["cpu_ms"].as_f64();
        out += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            row["count"],
            row["probes"].as_str().unwrap_or_default(),
            time(ms(OURS)),
            time(ms(FAISS)),
            ratio(ms(FAISS), ms(OURS)),
            time(ms(NUMPY)),
            ratio(ms(NUMPY), ms(OURS))
        );
    }
    let equal = rows(figures).filter(|row| students(row, OURS) == students(row, FAISS)).count();
    out + &format!("\nThe nearest student is the one that FAISS finds in {equal} of {} rows.\n", rows(figures).count())
}

/// Whom each probe was found to be: ours answers with the student's first embedding, the peer with the nearest one.
fn students(row: &Value, side: &str) -> Vec<u64> {
    let ids = rows(&row[side]["answer"]).filter_map(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
    ids.map(|id| id / 4).collect()
}
