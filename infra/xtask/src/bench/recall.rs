//! The faces that each detector finds in composed scenes.

use anyhow::Result;
use serde_json::Value;

use super::report::rows;
use super::{Bench, answer_of};

/// What `attendance-bench recall` counts.
pub(super) fn measure(bench: &Bench) -> Result<Value> {
    let mut command = bench.measurer();
    // Apart: a quick run would leave fewer scenes in the folder than a full one counts.
    let scenes = bench.work.join(if bench.quick { "recall-quick" } else { "recall" });
    command.args(["recall", "--curve", "--into"]).arg(scenes).arg("--peer").arg(&bench.peer);
    if bench.quick {
        command.args(["--scenes", "200", "--face-free", "50"]);
    }
    if let Some(faces) = &bench.faces {
        command.arg("--faces").arg(faces);
    }
    answer_of(&mut command)
}

pub(super) fn section(figures: &Value) -> String {
    let mut out = "\
Scenes of 640 x 480 with one to three faces of 40 to 400 px, turned by up to 25 degrees, a third of them blurred, a third
darkened, all compressed as JPEG of quality 35 to 90, on generated ground that holds no face (`tests/benchmarks/src/scenes.rs`,
seed included), from the peer package's photographs and those of `--faces DIR` where that is given, each with one face alone in what is
cut out. Nobody is in both halves. A box counts where its centre lies within 0.35 sides of the face's and neither side
is more than 1.8 times the other; any other box is a false positive. Face-free scenes are shapes on noise, patterns made of
what surrounds the photographs' faces, text, and line drawings, taken by the same camera.
"
    .to_owned();
    for half in rows(&figures["halves"]).filter(|half| half["scenes"] != 0) {
        out += &format!(
            "\nHalf to {}: {} scenes, {} faces of 40 to 80 px, {} of 80 to 400 px, from {} photographs; {} face-free scenes\n\n\
             | detector | recall 40-80 px | recall from 80 px | precision | false positives a scene | per 100 face-free scenes |\n\
             |---|---|---|---|---|---|\n",
            half["purpose"].as_str().unwrap_or_default(),
            half["scenes"],
            half["small"],
            half["large"],
            half["photographs"],
            half["face_free"]
        );
        for found in rows(&half["detectors"]) {
            out += &row(found["detector"].as_str().unwrap_or_default(), half, found);
        }
    }
    for half in rows(&figures["halves"]).filter(|half| half["scenes"] != 0 && half["purpose"] == "choose") {
        out += "\nBy the score from which a box counts, half to choose:\n\n\
                | detector, score | recall 40-80 px | recall from 80 px | precision | false positives a scene | per 100 face-free scenes |\n\
                |---|---|---|---|---|---|\n";
        for found in rows(&half["detectors"]) {
            let name = found["detector"].as_str().unwrap_or_default();
            for point in rows(&found["curve"]).filter(|_| !name.starts_with("peer")) {
                out += &row(&format!("{name}, {}", point["score"]), half, point);
            }
        }
    }
    out
}

/// A line of the table: these counts among the faces and scenes of this half.
fn row(name: &str, half: &Value, found: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let percent = |name: &str| 100.0 * number(&found[name]) / number(&half[name]);
    let (right, wrong) = (number(&found["small"]) + number(&found["large"]), number(&found["false_positives"]));
    format!(
        "| {name} | {:.1} % | {:.1} % | {:.2} % | {:.4} | {:.1} |\n",
        percent("small"),
        percent("large"),
        100.0 * right / (right + wrong),
        wrong / number(&half["scenes"]),
        100.0 * number(&found["false_in_face_free"]) / number(&half["face_free"])
    )
}
