//! Measures the service's stages, its HTTP answers and its recall. `cargo xtask bench` runs it beside the peer
//! (`peer.py`, `peer_server.py`); each command also works alone.

#![forbid(unsafe_code)]

mod delivery;
mod footprint;
mod galleries;
mod load;
mod pictures;
mod recall;
mod scenes;
mod spin;
mod worker;

use std::path::PathBuf;

use anyhow::Result;
use attendance_vision::{Detector, DetectorMode, VisionEngine, VisionSettings};
use clap::Parser;

/// Measures the attendance service
#[derive(Parser)]
#[command(name = "attendance-bench")]
enum Command {
    /// Compose the frames that everything is measured on
    Frames {
        /// Where they go
        #[arg(long, value_name = "DIR", default_value = "target/bench/frames")]
        into: PathBuf,
    },
    /// Measure the time from a posted frame to the Attendance API, with and without load
    Delivery(delivery::Options),
    /// Print the memory that a function's work takes: models, gallery, one picture
    Footprint(footprint::Options),
    /// Write a gallery of random embeddings, and probes of people who are in it and of strangers
    Gallery(galleries::Options),
    /// Measure stages: reads one JSON request a line, answers with one line each
    Worker,
    /// Post a frame again and again and print the latencies as one line of JSON
    Load(load::Options),
    /// Count the faces that each detector finds in composed scenes, as one line of JSON
    Recall(recall::Options),
    /// Compute on one thread for a while and print how many rounds a second were done
    Spin(spin::Options),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Frames { into } => pictures::write_frames(&engine(Detector::Cnn, DetectorMode::Exact, 80, 1)?, &into),
        Command::Delivery(options) => delivery::run(&options),
        Command::Footprint(options) => footprint::run(&options),
        Command::Gallery(options) => galleries::write(&options),
        Command::Worker => worker::run(),
        Command::Load(options) => load::run(&options),
        Command::Recall(options) => recall::run(&options),
        Command::Spin(options) => spin::run(&options),
    }
}

/// An engine with the checkout's models, which are fetched where they are missing.
fn engine(detector: Detector, mode: DetectorMode, min_size: u32, threads: usize) -> Result<VisionEngine> {
    let settings = VisionSettings { detector, mode, min_size, threads };
    Ok(VisionEngine::load(&attendance_testkit::models(), settings)?)
}
