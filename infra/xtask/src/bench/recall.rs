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
    command.arg("recall").arg("--into").arg(scenes).arg("--peer").arg(&bench.peer);
    if bench.quick {
        command.args(["--scenes", "200"]);
    }
    if let Some(faces) = &bench.faces {
        command.arg("--faces").arg(faces);
    }
    answer_of(&mut command)
}

pub(super) fn section(figures: &Value) -> String {
    let mut out = "\
Scenes of 640 x 480 with one to three faces of 40 to 400 px, turned by up to 25 degrees, a third of them blurred, a third
darkened, all compressed as JPEG of quality 35 to 90, on generated ground that holds no face (`tests/benchmarks/src/recall.rs`,
seed included), from the peer package's photographs and those of `--faces DIR` where that is given. Nobody is in both halves. A box counts where its centre lies within 0.35 sides of the face's and neither side
is more than 1.8 times the other; any other box is a false positive.
"
    .to_owned();
    for half in rows(&figures["halves"]).filter(|half| half["scenes"] != 0) {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        out += &format!(
            "\nHalf to {}: {} scenes, {} faces of 40 to 80 px, {} of 80 to 400 px, from {} photographs\n\n\
             | detector | recall 40-80 px | recall from 80 px | false positives a scene |\n|---|---|---|---|\n",
            half["purpose"].as_str().unwrap_or_default(),
            half["scenes"],
            half["small"],
            half["large"],
            half["photographs"]
        );
        for found in rows(&half["detectors"]) {
            let percent = |name: &str| 100.0 * number(&found[name]) / number(&half[name]);
            out += &format!(
                "| {} | {:.1} % | {:.1} % | {:.4} |\n",
                found["detector"].as_str().unwrap_or_default(),
                percent("small"),
                percent("large"),
                number(&found["false_positives"]) / number(&half["scenes"])
            );
        }
    }
    out
}
