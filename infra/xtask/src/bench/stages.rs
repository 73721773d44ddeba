//! The stages of one picture's way, one by one.

use anyhow::Result;
use serde_json::{Value, json};

use super::report::{ratio, rows, time};
use super::worker::{Request, Row, Workers};
use super::{BLAS, Bench, OURS, PEER};

const RUNTIME: &str = "onnxruntime";

/// The medians of every stage, in the order of the table.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let (rounds, seconds) = if bench.quick { (2, 0.1) } else { (3, 0.3) };
    let mut workers = Workers::start(bench)?;
    let rows = rows_to_measure(bench);
    let measured = rows.iter().map(|row| workers.measure(row, rounds, seconds)).collect::<Result<_>>()?;
    workers.end()?;
    Ok(Value::Array(measured))
}

fn rows_to_measure(bench: &Bench) -> Vec<Row> {
    let frames: &[&str] = if bench.quick {
        &["face-640x480", "group-800x600"]
    } else {
        &["face-640x480", "face-1280x720", "face-1920x1080", "group-800x600", "empty-640x480"]
    };
    let on = |frame: &str, stage: &str| json!({"stage": stage, "frame": bench.frame(&format!("{frame}.jpg"))});
    let sides = |name: String, request: Value, peers: &[&'static str]| {
        let there = peers.iter().filter(|peer| **peer == PEER || bench.blas.is_some());
        let requests =
            [OURS].into_iter().chain(there.copied()).map(|side| Request::to(side, request.clone())).collect();
        Row { name, requests }
    };
    let mut rows = vec![sides("load models".into(), json!({"stage": "load"}), &[])];
    for frame in frames {
        rows.push(sides(format!("decode {frame}"), on(frame, "decode"), &[PEER]));
    }
    for min_size in [80, 40] {
        for frame in frames {
            let mut request = on(frame, "detect");
            request["min_size"] = json!(min_size);
            rows.push(sides(format!("detect (HOG) from {min_size} px, {frame}"), request, &[PEER, BLAS]));
        }
    }
    for (choice, name) in [("cnn_fast", "fast"), ("cnn_exact", "exact")] {
        let mut request = on("face-640x480", "detect");
        request["detector"] = json!(choice);
        // The peer has one mode, and one sample of it takes seconds.
        let peers: &[_] = if choice == "cnn_exact" && !bench.quick { &[PEER, BLAS] } else { &[] };
        rows.push(sides(format!("detect (CNN, {name}) from 80 px, face-640x480"), request, peers));
    }
    for stage in ["landmarks", "align"] {
        rows.push(sides(format!("{stage}, one face"), on("face-640x480", stage), &[PEER]));
    }
    let mut embed = sides("embed, one face".into(), on("face-640x480", "embed"), &[PEER, BLAS]);
    let mut runtime = on("face-640x480", "embed_onnxruntime");
    runtime["model"] = json!(bench.root.join("models/face_embedder.onnx"));
    embed.requests.push(Request { column: RUNTIME, worker: PEER, request: runtime });
    rows.push(embed);
    for min_size in [80, 40] {
        for frame in ["face-640x480", "group-800x600"] {
            let mut request = on(frame, "scan");
            request["min_size"] = json!(min_size);
            rows.push(sides(format!("whole scan from {min_size} px, {frame}"), request, &[PEER, BLAS]));
        }
    }
    rows
}

/// The table, and whether both sides saw the same.
pub(super) fn section(figures: &Value) -> String {
    let blas = rows(figures).any(|row| row[BLAS].is_object());
    let mut out = "Processor milliseconds on one thread, medians. A ratio is the peer's time over ours.".to_owned();
    out += if blas {
        " The peer has dlib's wheel; with OpenBLAS it has dlib as pip builds it from source here.\n\n"
    } else {
        "\n\n"
    };
    out += if blas {
        "| stage | ours | peer | ratio | peer with OpenBLAS | ratio |\n|---|---|---|---|---|---|\n"
    } else {
        "| stage | ours | peer | ratio |\n|---|---|---|---|\n"
    };
    for row in rows(figures) {
        let ms = |side: &str| row[side]["cpu_ms"].as_f64();
        let name = row["name"].as_str().unwrap_or_default();
        let beside = |side: &str| format!(" {} | {} |", time(ms(side)), ratio(ms(side), ms(OURS)));
        out += &format!("| {name} | {} |{}", time(ms(OURS)), beside(PEER));
        out += &if blas { beside(BLAS) } else { String::new() };
        out += "\n";
    }
    if let Some(row) = rows(figures).find(|row| row[RUNTIME].is_object()) {
        let ms = |side: &str| row[side]["cpu_ms"].as_f64();
        out += &format!(
            "\nONNX Runtime runs our embedding network in {} ms, {} times ours.\n",
            time(ms(RUNTIME)),
            ratio(ms(RUNTIME), ms(OURS))
        );
    }
    out + &answers(figures)
}

/// Whether both sides saw the same, in a sentence.
fn answers(stages: &Value) -> String {
    let mut out = String::new();
    let named = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    let with_peer = || rows(stages).filter(|row| !row[PEER].is_null());
    let boxes = |name: &str| name.starts_with("detect") || name.starts_with("whole scan");
    let compared: Vec<_> = with_peer().filter(|row| boxes(&named(row))).collect();
    let far = |row: &&&Value| furthest(&row[OURS]["answer"], &row[PEER]["answer"]).is_none_or(|d| d > 2.0);
    let differing: Vec<String> = compared.iter().filter(far).map(|row| named(row)).collect();
    out += &format!(
        "\nThe same faces, each edge within 2 pixels of the peer's, in {} of {} rows",
        compared.len() - differing.len(),
        compared.len()
    );
    out += &if differing.is_empty() {
        ".".to_owned()
    } else {
        // JPEG decoders differ by a few levels a pixel; where two boxes score nearly alike, that chooses between them.
        format!("; not in: {} (each side decodes the JPEG by itself).", differing.join("; "))
    };
    if let Some(row) = with_peer().find(|row| named(row).starts_with("embed")) {
        let numbers = |side: &str| -> Vec<f64> { rows(&row[side]["answer"]).filter_map(Value::as_f64).collect() };
        let squares = numbers(OURS).iter().zip(numbers(PEER)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        out += &format!(
            " The embedding is {:.5} away from the peer's (both from their own decoded pixels).",
            squares.sqrt()
        );
    }
    out + "\n"
}

/// The largest difference between two lists of boxes, or `None` where they have not the same number of boxes.
fn furthest(ours: &Value, theirs: &Value) -> Option<f64> {
    let edges = |boxes: &Value| -> Vec<f64> {
        let mut boxes: Vec<Vec<f64>> = rows(boxes).map(|b| rows(b).filter_map(Value::as_f64).collect()).collect();
        boxes.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        boxes.concat()
    };
    let (ours, theirs) = (edges(ours), edges(theirs));
    (ours.len() == theirs.len()).then(|| ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_compared_whatever_their_order() {
        let ours = json!([[10, 50, 60, 5], [100, 150, 160, 105]]);
        assert_eq!(furthest(&ours, &json!([[100, 150, 160, 105], [10, 50, 60, 7]])), Some(2.0));
        assert_eq!(furthest(&ours, &json!([[10, 50, 60, 5]])), None);
    }
}
