//! Measures one stage at a time, as it is asked to, so that `cargo xtask bench` can alternate with the peer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use attendance::Gallery;
use attendance::ports::Purpose;
use attendance_vision::stages::{decode, extract_chip, face_box, trimmed};
use attendance_vision::{Detector, DetectorMode, VisionEngine};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::galleries;

/// A line of input.
#[derive(Deserialize)]
struct Request {
    stage: Stage,
    /// The picture.
    #[serde(default)]
    frame: PathBuf,
    /// The gallery's file.
    #[serde(default)]
    gallery: PathBuf,
    /// The embeddings that are looked for in it.
    #[serde(default)]
    probes: PathBuf,
    /// The detector that recognises.
    #[serde(default)]
    detector: Choice,
    /// The smallest face side in pixels.
    #[serde(default = "default_min_size")]
    min_size: u32,
    /// Measure at least so long...
    seconds: f64,
    /// ... and so often.
    least: usize,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Load,
    Decode,
    Detect,
    Landmarks,
    Align,
    Embed,
    Scan,
    Match,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[serde(rename_all = "snake_case")]
enum Choice {
    #[default]
    Hog,
    CnnFast,
    CnnExact,
}

fn default_min_size() -> u32 {
    80
}

/// Answers requests until the input ends: `{"wall_ms": [...], "cpu_ms": [...], "answer": ...}`.
pub(crate) fn run() -> Result<()> {
    let mut worker = Worker::default();
    for line in std::io::stdin().lock().lines() {
        let reply = worker.answer(&serde_json::from_str(&line?).context("a request is not understood")?)?;
        println!("{reply}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Worker {
    engines: HashMap<(Choice, u32), VisionEngine>,
    galleries: HashMap<PathBuf, Gallery>,
}

impl Worker {
    fn answer(&mut self, request: &Request) -> Result<Value> {
        let bytes = || fs::read(&request.frame).with_context(|| format!("cannot read {}", request.frame.display()));
        match request.stage {
            Stage::Load => measure(request, || load(request), |_| Value::Null),
            Stage::Match => {
                let gallery = self.gallery(&request.gallery)?;
                let probes = galleries::embeddings(&request.probes)?;
                let mut turn = probes.iter().cycle();
                let nearest = probes.iter().map(|p| gallery.nearest(p).map(|m| m.student.to_string()));
                let answer: Vec<_> = nearest.collect();
                let nearest = || Ok(turn.next().and_then(|probe| gallery.nearest(probe)));
                measure(request, nearest, |_| json!(answer))
            }
            Stage::Decode => {
                let bytes = bytes()?;
                measure(request, || Ok(decode(&bytes)?), |p| json!([p.pixels.width(), p.pixels.height()]))
            }
            Stage::Scan => {
                let (engine, bytes) = (self.engine(request)?, bytes()?);
                measure(
                    request,
                    || Ok(engine.scan_blocking(&bytes, Purpose::Recognize)?),
                    |scan| json!(scan.faces.iter().map(|face| face.face_box.into()).collect::<Vec<[i32; 4]>>()),
                )
            }
            Stage::Detect => {
                let (engine, picture) = (self.engine(request)?, decode(&bytes()?)?.pixels);
                measure(
                    request,
                    || Ok(engine.stages().detect(&picture, Purpose::Recognize)?),
                    |found| {
                        json!(
                            found
                                .iter()
                                .map(|d| face_box(&trimmed(&d.rect, &picture)).into())
                                .collect::<Vec<[i32; 4]>>()
                        )
                    },
                )
            }
            Stage::Landmarks | Stage::Align | Stage::Embed => self.face_stage(request, &bytes()?),
        }
    }

    /// A stage that looks at the picture's first face.
    fn face_stage(&mut self, request: &Request, bytes: &[u8]) -> Result<Value> {
        let engine = self.engine(request)?;
        let picture = decode(bytes)?.pixels;
        let Some(found) = engine.stages().detect(&picture, Purpose::Recognize)?.into_iter().next() else {
            bail!("no face in {}", request.frame.display())
        };
        let rect = trimmed(&found.rect, &picture);
        let points = engine.stages().landmarks(&picture, &rect);
        let chip = extract_chip(&picture, &points);
        match request.stage {
            Stage::Landmarks => measure(
                request,
                || Ok(engine.stages().landmarks(&picture, &rect)),
                |points| json!(points.iter().map(|p| [p.x, p.y]).collect::<Vec<_>>()),
            ),
            Stage::Align => measure(request, || Ok(extract_chip(&picture, &points)), |_| Value::Null),
            _ => measure(request, || Ok(engine.stages().embed(&chip)?), |embedding| json!(embedding.values().to_vec())),
        }
    }

    fn engine(&mut self, request: &Request) -> Result<VisionEngine> {
        let key = (request.detector, request.min_size);
        Ok(match self.engines.entry(key) {
            Entry::Occupied(engine) => engine.get().clone(),
            Entry::Vacant(place) => place.insert(load(request)?).clone(),
        })
    }

    fn gallery(&mut self, path: &PathBuf) -> Result<Gallery> {
        if !self.galleries.contains_key(path) {
            // One at a time: a large one takes half a gigabyte.
            self.galleries = HashMap::from([(path.clone(), galleries::read(path)?)]);
        }
        Ok(self.galleries[path].clone())
    }
}

fn load(request: &Request) -> Result<VisionEngine> {
    let (detector, mode) = match request.detector {
        Choice::Hog => (Detector::Auto, DetectorMode::Fast),
        Choice::CnnFast => (Detector::Cnn, DetectorMode::Fast),
        Choice::CnnExact => (Detector::Cnn, DetectorMode::Exact),
    };
    let threads = std::env::var("ATTENDANCE_THREADS").map_or(Ok(1), |n| n.parse());
    crate::engine(detector, mode, request.min_size, threads.context("ATTENDANCE_THREADS is a whole number")?)
}

/// The times of `work`, and what `answer` makes of its first result, which is not measured.
fn measure<T>(
    request: &Request,
    mut work: impl FnMut() -> Result<T>,
    answer: impl FnOnce(T) -> Value,
) -> Result<Value> {
    let answer = answer(work()?);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while wall.len() < request.least || begin.elapsed().as_secs_f64() < request.seconds {
        let (cpu_before, before) = (cpu_time(), Instant::now());
        std::hint::black_box(work()?);
        wall.push(before.elapsed().as_secs_f64() * 1e3);
        cpu.push((cpu_time() - cpu_before).as_secs_f64() * 1e3);
    }
    Ok(json!({"wall_ms": wall, "cpu_ms": cpu, "answer": answer}))
}

/// What all threads of this process have computed.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
