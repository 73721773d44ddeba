//! The project's chores: `cargo xtask test`, `cargo xtask bench`, `cargo xtask aws`.

#![forbid(unsafe_code)]

mod aws;
mod bench;
mod checks;
mod cycles;
mod functions;
mod test;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's chores
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the test suites; what one needs is fetched into target/
    Test(test::Options),
    /// Measure the service beside the one it replaces, in one run, and print a table
    Bench(bench::Options),
    /// Run the serverless service on this machine
    #[command(subcommand)]
    Aws(aws::Chore),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Aws(chore) => aws::run(&chore),
    }
}
