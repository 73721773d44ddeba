//! A thread that computes without a pause: two of them side by side show what two cores of this machine give.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use attendance::ports::Purpose;
use attendance_vision::{Detector, DetectorMode};
use clap::Args;

/// What `spin` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Scan this picture again and again; without one, do arithmetic in registers
    #[arg(long, value_name = "FILE")]
    frame: Option<PathBuf>,
    /// How long
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Prints rounds a second.
pub(crate) fn run(options: &Options) -> Result<()> {
    let time = Duration::from_secs_f64(options.seconds);
    let rate = match &options.frame {
        None => rate(time, || Ok(arithmetic()))?,
        Some(frame) => {
            let engine = crate::engine(Detector::Auto, DetectorMode::Fast, 40, 1)?;
            let frame = std::fs::read(frame)?;
            rate(time, || Ok(engine.scan_blocking(&frame, Purpose::Recognize)?))?
        }
    };
    println!("{rate}");
    Ok(())
}

fn rate<T>(time: Duration, mut round: impl FnMut() -> Result<T>) -> Result<f64> {
    let begin = Instant::now();
    let mut rounds = 0.0;
    while begin.elapsed() < time {
        black_box(round()?);
        rounds += 1.0;
    }
    Ok(rounds / begin.elapsed().as_secs_f64())
}

/// About a millisecond of multiplications, each of which needs the one before.
fn arithmetic() -> u64 {
    (0..1_000_000).fold(1, |x: u64, n| black_box(x).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n))
}
