//! The serverless service on this machine: a local AWS stack without Docker, and the deployment onto it.

mod deploy;
mod package;
mod stack;
mod suite;
mod tools;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use deploy::deploy;
use stack::{LEFT_RUNNING, Stack};
pub(crate) use suite::run as test;
use tools::PORT;

/// What `aws` does.
#[derive(Subcommand)]
pub(crate) enum Chore {
    /// Start the local stack and leave it running
    Up,
    /// Build the functions, deploy them onto the local stack and print their addresses
    Deploy,
    /// Check the templates, then test the adapters and the deployed service on a stack of their own
    Test,
    /// Stop the local stack
    Down,
    /// Build the functions as `sam build` does, and print each package's size and start time
    Package,
    /// Build one function for AWS into a folder: what infra/Makefile does for `sam build`
    #[command(hide = true)]
    Build {
        /// Its name in template.yaml
        function: String,
        /// The folder
        into: PathBuf,
    },
}

pub(crate) fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Up => Stack::start(LEFT_RUNNING, PORT)?.leave_running(),
        Chore::Deploy => {
            let deployed = deploy(PORT, &[("AccessKey", "local-access-key"), ("MockWebhook", "true")])?;
            println!("HTTP       {}\nWebSocket  {}?key=local-access-key", deployed.http, deployed.ws);
            let bucket = deployed.outputs["BucketName"].as_str().unwrap_or_default();
            println!("bucket     {bucket}\nkey        local-access-key");
            Ok(())
        }
        Chore::Test => test(),
        Chore::Down => stack::down(),
        Chore::Package => package::package(),
        Chore::Build { function, into } => package::build(function, into),
    }
}
