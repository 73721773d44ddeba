//! What a table of times is worth nothing without.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Bench;

/// The machine, and the programs with their versions.
pub(super) fn describe(bench: &Bench) -> Result<Value> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
        line.map_or("unknown", |(_, value)| value).to_owned()
    };
    let flags = field("flags");
    let vectors: Vec<&str> = ["avx", "avx2", "fma", "avx512f", "avx512_vnni"]
        .into_iter()
        .filter(|wanted| flags.split(' ').any(|flag| flag == *wanted))
        .collect();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let versions = "import sys, dlib, numpy, PIL, fastapi, uvicorn, faiss, onnxruntime; \
                    print('; '.join(['Python ' + sys.version.split()[0], 'dlib ' + dlib.__version__ + \
                    (' with BLAS' if getattr(dlib, 'DLIB_USE_BLAS', False) else ''), 'face_recognition 1.3.0', \
                    'numpy ' + numpy.__version__, 'Pillow ' + PIL.__version__, 'FastAPI ' + fastapi.__version__, \
                    'uvicorn ' + uvicorn.__version__, 'FAISS ' + faiss.__version__, \
                    'ONNX Runtime ' + onnxruntime.__version__]))";
    let of = |python: &Path| output(Command::new(python).args(["-c", versions]));
    Ok(json!({
        "cpu": field("model name"),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "vectors": vectors.join(" "),
        "memory_gib": kilobytes >> 20,
        "system": output(Command::new("uname").args(["-s", "-r", "-m"]))?,
        "rust": output(Command::new("rustc").arg("--version"))?,
        "peer": of(&bench.peer)?,
        "blas": bench.blas.as_deref().map(of).transpose()?,
    }))
}

/// The date, the commit and the machine's load.
pub(super) fn now(bench: &Bench) -> Result<Value> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(json!({
        "date": output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
        "commit": output(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&bench.root))?,
        "load": load.split(' ').next().unwrap_or_default(),
    }))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
