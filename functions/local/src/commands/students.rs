use std::process::ExitCode;

use anyhow::Result;
use attendance::{Environment, StudentId};
use clap::Subcommand;

use crate::adapters::Adapters;
use crate::places::Places;

/// The subcommands of `students`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the students with the number of their embeddings
    List,
    /// Erase students with their embeddings, crops and pictures
    ///
    /// The exit code is 1 if none of them was enrolled.
    Remove {
        /// Student ids
        #[arg(required = true, value_parser = StudentId::parse)]
        students: Vec<StudentId>,
    },
}

pub(crate) fn run(command: &Command, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let gallery = Adapters::open(&places.data(environment))?.ports.gallery;
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        Command::List => {
            for (student, embeddings) in runtime.block_on(gallery.students())? {
                println!("{student}\t{embeddings}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Remove { students } => {
            let mut total = 0;
            for student in students {
                let removed = runtime.block_on(gallery.remove(student))?;
                println!("{student}: {removed} embeddings removed");
                total += removed;
            }
            Ok(if total == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    }
}
