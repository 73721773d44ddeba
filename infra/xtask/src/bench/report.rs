//! The tables.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Places, report_file};

/// Prints what was measured last as Markdown and, unless it was a quick run, puts it into docs/benchmarks.md.
pub(super) fn write(places: &Places, quick: bool) -> Result<()> {
    let mut text = String::from("# Measured beside the service it replaces\n");
    if let Ok(report) = fs::read(places.work.join(report_file(quick))) {
        text += &tables(&serde_json::from_slice(&report)?);
    }
    if let Ok(recall) = fs::read_to_string(places.work.join("recall/recall.md")) {
        text += RECALL;
        text += &recall;
    }
    println!("{text}");
    let path = if quick { places.work.join("quick.md") } else { places.root.join("docs/benchmarks.md") };
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

const RECALL: &str = "
## Recall

By `cargo xtask bench --recall`: scenes of 640 x 480 with one to three faces of 40 to 400 px, turned by up to 25 degrees,
a third of them blurred, a third darkened, all compressed as JPEG of quality 35 to 90, on generated ground that holds no
face (`tests/benchmarks/src/recall.rs`, seed included). Nobody is in both halves. A box counts where its centre lies within
0.35 sides of the face's and neither side is more than 1.8 times the other; any other box is a false positive.
";

fn tables(report: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let machine = &report["machine"];
    let about = |name: &str| text(&machine[name]);
    let mut out = format!(
        "\nWritten by `cargo xtask bench` on {} in {} s, at commit {}. Both sides took turns in one run. \
         Trust ratios, not times: the machine may have had other work (its load at the start was {}).\n\n\
         {}, {} cores ({}), {} GiB; {}; {}. Peer: {}.\n",
        about("date"),
        report["seconds"],
        about("commit"),
        about("load_at_start"),
        about("cpu"),
        about("cores"),
        about("vectors"),
        about("memory_gib"),
        about("system"),
        about("rust"),
        about("peer")
    );

    out += "\n## Stages\n\nProcessor milliseconds on one thread, medians. The ratio is the peer's time over ours; \
            ONNX Runtime runs our network, FAISS is `IndexFlatL2`.\n\n\
            | stage | ours | peer | ratio | another | ratio |\n|---|---|---|---|---|---|\n";
    for row in rows(&report["stages"]) {
        let ms = |side: &str| row[side]["cpu_ms"].as_f64();
        let ours = ms("ours");
        let other =
            [("FAISS", ms("faiss")), ("ONNX Runtime", ms("onnxruntime"))].into_iter().find(|(_, ms)| ms.is_some());
        let (other_name, other_ms) = other.unwrap_or(("", None));
        out += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            text(&row["name"]),
            time(ours),
            time(ms("peer")),
            ratio(ms("peer"), ours),
            format!("{other_name} {}", time(other_ms)).trim(),
            ratio(other_ms, ours)
        );
    }
    out += &answers(&report["stages"]);

    let start = |name: &str| report["start"][name].as_f64();
    out += &format!(
        "\n## Cold start\n\nFrom process start to the first recognised face of a 640 x 480 frame, one core, wall clock: \
         ours {} ms; the peer {} ms, of which importing `face_recognition` takes {} ms. Ours over that import: {}.\n",
        time(start("ours")),
        time(start("peer")),
        time(start("import")),
        ratio(start("ours"), start("import"))
    );

    out += "\n## Whole requests\n\n`POST /recognize`, one face at 640 x 480, two people enrolled, closed loop. The peer is \
            `tests/benchmarks/peer_server.py`. Processor time is the server's, a request.\n\n\
            | setting | clients | side | requests/s | p50 ms | p95 ms | p99 ms | processor ms | resident MiB |\n\
            |---|---|---|---|---|---|---|---|---|\n";
    for row in rows(&report["http"]) {
        for side in ["ours", "peer"] {
            let run = &row[side];
            let number = |name: &str| time(run[name].as_f64());
            out += &format!(
                "| {} | {} | {side} | {} | {} | {} | {} | {} | {} (after {}) |\n",
                text(&row["name"]),
                row["concurrency"],
                number("per_second"),
                number("p50_ms"),
                number("p95_ms"),
                number("p99_ms"),
                number("cpu_ms"),
                number("resident_mb"),
                run["requests_so_far"]
            );
        }
        let of = |side: &str, name: &str| row[side][name].as_f64();
        out += &format!(
            "| | | **ratio** | {} | {} | {} | {} | {} | {} |\n",
            ratio(of("ours", "per_second"), of("peer", "per_second")),
            ratio(of("peer", "p50_ms"), of("ours", "p50_ms")),
            ratio(of("peer", "p95_ms"), of("ours", "p95_ms")),
            ratio(of("peer", "p99_ms"), of("ours", "p99_ms")),
            ratio(of("peer", "cpu_ms"), of("ours", "cpu_ms")),
            ratio(of("peer", "resident_mb"), of("ours", "resident_mb"))
        );
    }
    let rate = |one_core: bool, clients: u64| {
        let wanted = if one_core { "one core, faces from 40 px" } else { "all cores, faces from 40 px" };
        let row = rows(&report["http"]).find(|row| row["name"] == wanted && row["concurrency"] == clients)?;
        row["ours"]["per_second"].as_f64()
    };
    out += &format!(
        "\nOurs with 8 clients on all cores against one client on one core: {} times the requests a second.\n",
        ratio(rate(false, 8), rate(true, 1))
    );
    out
}

/// Whether both sides saw the same, in a sentence.
fn answers(stages: &Value) -> String {
    let mut out = String::new();
    let named = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    let with_peer = || rows(stages).filter(|row| !row["peer"].is_null());
    let boxes = |name: &str| name.starts_with("detect") || name.starts_with("whole scan");
    let compared: Vec<_> = with_peer().filter(|row| boxes(&named(row))).collect();
    let far = |row: &&&Value| furthest(&row["ours"]["answer"], &row["peer"]["answer"]).is_none_or(|d| d > 2.0);
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
        let numbers = |side: &str| -> Vec<f64> {
            row[side]["answer"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        let distance =
            |other: &str| numbers("ours").iter().zip(numbers(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        out += &format!(" The embedding is {:.5} away from the peer's", distance("peer"));
        out += " (both from their own decoded pixels).";
    }
    let same = |row: &&Value| {
        let ids = |side: &str| -> Vec<u64> {
            let list = row[side]["answer"].as_array().into_iter().flatten();
            list.filter_map(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok())).map(|id| id / 4).collect()
        };
        ids("ours") == ids("faiss")
    };
    let matches: Vec<&Value> = rows(stages).filter(|row| named(row).starts_with("match")).collect();
    let equal = matches.iter().filter(|row| same(row)).count();
    out + &format!(" The nearest student is the one that FAISS finds in {equal} of {} galleries.\n", matches.len())
}

/// The largest difference between two lists of boxes, or `None` where they have not the same number of boxes.
fn furthest(ours: &Value, theirs: &Value) -> Option<f64> {
    let edges = |boxes: &Value| -> Vec<f64> {
        let mut boxes: Vec<Vec<f64>> =
            rows(boxes).map(|b| b.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()).collect();
        boxes.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        boxes.concat()
    };
    let (ours, theirs) = (edges(ours), edges(theirs));
    (ours.len() == theirs.len()).then(|| ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn time(ms: Option<f64>) -> String {
    match ms {
        None => String::new(),
        Some(ms) if ms < 1.0 => format!("{ms:.3}"),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => format!("{:.2}", a / b),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn boxes_are_compared_whatever_their_order() {
        let ours = json!([[10, 50, 60, 5], [100, 150, 160, 105]]);
        assert_eq!(furthest(&ours, &json!([[100, 150, 160, 105], [10, 50, 60, 7]])), Some(2.0));
        assert_eq!(furthest(&ours, &json!([[10, 50, 60, 5]])), None);
    }

    #[test]
    fn a_row_without_a_peer_has_empty_cells() {
        assert_eq!((time(None), ratio(None, Some(1.0))), (String::new(), String::new()));
        assert_eq!((time(Some(0.5)), ratio(Some(3.0), Some(2.0))), ("0.500".to_owned(), "1.50".to_owned()));
    }
}
